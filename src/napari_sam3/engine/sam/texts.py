"""Texts as the detector of SAM 3 reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor
from transformers import CLIPTokenizer

from ..cache.bounded import BoundedCache
from ..errors import PromptError, WeightsError
from .loading import UNUSABLE
from .sam3_model import Sam3

PHRASE_BYTES = 2**22
"""What phrases may occupy that were read before: some hundred of them."""
COPY = "copy tokenizer.json and tokenizer_config.json of the checkpoint into it."


@dataclass(frozen=True, slots=True, eq=False)
class Phrase:
    """A text as the detector sees it, filled up to the length it reads."""

    features: Tensor  # (1, L, C)
    is_said: Tensor  # (1, L) bool, False where it is filled up

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.features.nbytes + self.is_said.nbytes


class Texts:
    """Reads texts, each of them once."""

    def __init__(self, model: Sam3, tokenizer: CLIPTokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._length: int = model.detector.config.text_config.max_position_embeddings
        self._known: BoundedCache[str, Phrase] = BoundedCache(PHRASE_BYTES)

    @classmethod
    def load(cls, folder: Path, model: Sam3) -> Self:
        """Read the tokenizer that lies beside the weights.

        Raises
        ------
        WeightsError
            If there is none, another one, or a damaged one.
        """
        try:
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except UNUSABLE as error:
            raise WeightsError(f"The tokenizer in {folder} cannot be read: {COPY}") from error
        if len(tokenizer) != model.detector.config.text_config.vocab_size:  # empty without files
            raise WeightsError(f"{folder} lacks its tokenizer: {COPY}")
        return cls(model, tokenizer)

    def read(self, text: str) -> Phrase:
        """Return a text as the detector sees it.

        Raises
        ------
        PromptError
            If it is longer than the detector reads.
        """
        known = self._known.get(text)
        if known is None:
            known = self._encoded(text)
            self._known.put(text, known)
        return known

    def _encoded(self, text: str) -> Phrase:
        self._check_length(text)
        said = self._tokenizer(
            text, return_tensors="pt", padding="max_length", max_length=self._length
        ).to(self._model.device)
        with self._model.calculating():
            features = self._model.detector.get_text_features(**said).pooler_output
        return Phrase(features.float(), said["attention_mask"].bool())

    def _check_length(self, text: str) -> None:
        places = self._tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        excess = len(places) - self._length
        if excess > 0:
            unread = text[places[self._length - 1][0] :]
            raise PromptError(
                f"The text is {excess} tokens too long, the model would not read "
                f"{unread!r}: say it in fewer words."
            )
