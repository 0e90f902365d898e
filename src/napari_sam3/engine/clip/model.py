"""A text model of open_clip on a device: pictures and texts become vectors that are alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .. import without_triton  # noqa: F401  before open_clip imports it
from ..devices import checked_device
from ..errors import PromptError
from .folder import ClipFolder
from .languages import check_english
from .loading import load_network, load_tokenizer

from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD  # isort: skip

Vectors = NDArray[np.float32]
"""(N, C), each of length 1."""
BATCH_BYTES = 2**25
"""What the pictures of one pass may occupy; the network needs some ten times as much for them."""
TEXTS = 64
"""Texts that are read in one pass."""
UNKNOWN = 0.5
"""A text of which such a share is unknown to the tokenizer says nothing."""
LONGEST = 1024
"""Tokens up to which the length of a text is counted."""


class ClipModel:
    """Turns pictures and texts into vectors; those of a picture and its caption are alike."""

    def __init__(self, folder: ClipFolder, network: Any, device: str) -> None:
        self.name = folder.path.name
        self.device = device
        self.is_multilingual = folder.is_multilingual
        self._network = network.to(device)
        self._tokenizer: Any = load_tokenizer(folder)
        self._context: int = self._tokenizer.context_length
        self._reads_short = bool(folder.text_network) and not folder.text.get("tokenizer_mode")
        size = self._network.visual.image_size
        self.side: tuple[int, int] = (size, size) if isinstance(size, int) else tuple(size)
        self._mean = self._color(folder.preprocessing.get("mean") or OPENAI_DATASET_MEAN)
        self._std = self._color(folder.preprocessing.get("std") or OPENAI_DATASET_STD)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Load a folder in the layout of the hub.

        Raises
        ------
        WeightsError
            If it is not a whole model.
        ModelError
            If there is no such device.
        """
        chosen = checked_device(device)
        opened = ClipFolder.open(folder)
        return cls(opened, load_network(opened), chosen)

    @property
    def scale(self) -> float:
        """How much a difference in likeness counts, as the model was taught."""
        return float(self._network.logit_scale.exp())

    @torch.inference_mode()
    def picture_vectors(self, pictures: Iterable[NDArray[np.float32]]) -> Vectors:
        """Look at pictures, each (h, w, 3) in 0..1 and of any size."""
        count = max(1, BATCH_BYTES // (3 * self.side[0] * self.side[1] * 4))
        seen = [self._seen(batch) for batch in _batches(pictures, count)]
        return np.concatenate(seen) if seen else np.zeros((0, 0), np.float32)

    @torch.inference_mode()
    def text_vectors(self, texts: Sequence[str]) -> Vectors:
        """Read texts.

        Raises
        ------
        PromptError
            If one is longer than the model reads, or in a language that it does not.
        """
        for text in texts:
            self.check(text)
        read = [self._read(batch) for batch in _batches(texts, TEXTS)]
        return np.concatenate(read) if read else np.zeros((0, 0), np.float32)

    def check(self, text: str) -> None:
        """Refuse a text that the model would not read to its end, or not understand.

        Raises
        ------
        PromptError
            With the words that are too many, or the language.
        """
        if not self.is_multilingual:
            check_english(text, self.name)
        if self._length(text) > self._context:
            raise PromptError(self._too_long(text))
        if self._is_unknown(text):
            raise PromptError(
                f"{self.name} knows nothing of {text!r}: say it in other words, or choose a text "
                "model that reads many languages."
            )

    def _too_long(self, text: str) -> str:
        words = text.split()
        kept = len(words) - 1
        while kept > 0 and self._length(" ".join(words[:kept])) > self._context:
            kept -= 1
        excess, unread = len(words) - kept, " ".join(words[kept:])
        return (
            f"The text is {excess} {'word' if excess == 1 else 'words'} too long: {self.name} "
            f"would not read {unread!r}. Say it in fewer words."
        )

    def _length(self, text: str) -> int:
        return int((self._tokens([text], LONGEST) != self._padding).sum())

    def _is_unknown(self, text: str) -> bool:
        unknown = getattr(getattr(self._tokenizer, "tokenizer", None), "unk_token_id", None)
        if unknown is None:
            return False
        said = self._tokenizer.tokenizer(text, add_special_tokens=False)["input_ids"]
        return said.count(unknown) >= UNKNOWN * len(said)

    @property
    def _padding(self) -> int:
        return int(getattr(getattr(self._tokenizer, "tokenizer", None), "pad_token_id", 0) or 0)

    def _tokens(self, texts: Sequence[str], length: int) -> Tensor:
        return self._tokenizer(list(texts), context_length=length)

    def _read(self, texts: Sequence[str]) -> Vectors:
        tokens = self._tokens(texts, self._context)
        if self._reads_short:  # what follows the longest text is padding, and masked
            tokens = tokens[:, : int((tokens != self._padding).any(0).sum())]
        vectors = self._network.encode_text(tokens.to(self.device), normalize=True)
        return vectors.float().cpu().numpy()

    def _seen(self, pictures: Sequence[NDArray[np.float32]]) -> Vectors:
        resized = torch.cat([self._resized(picture) for picture in pictures])
        pixels = (resized.to(self.device) - self._mean) / self._std
        return self._network.encode_image(pixels, normalize=True).float().cpu().numpy()

    def _resized(self, picture: NDArray[np.float32]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
        resized = F.interpolate(
            pixels, self.side, mode="bicubic", align_corners=False, antialias=True
        )
        return resized.clamp(0, 1)

    def _color(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device).reshape(1, 3, 1, 1)


def _batches(items: Iterable[Any], count: int) -> Iterator[list[Any]]:
    remaining = iter(items)
    while batch := list(islice(remaining, count)):
        yield batch
