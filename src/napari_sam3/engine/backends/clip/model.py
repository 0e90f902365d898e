"""A text model of open_clip on a device: images and texts become embeddings to compare."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from ....values import PromptError, WeightsError
from ... import without_triton  # noqa: F401  before torch or transformers are imported
from ...devices import checked_device
from ...weights.checkpoints import read_header
from ...weights.clip_folder import ClipFolder
from ...weights.state_dicts import read_pickled
from .enhanced_phrases import check_english

import open_clip  # isort: skip
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD  # isort: skip
from open_clip.factory import convert_to_custom_text_state_dict  # isort: skip
from open_clip.hf_configs import arch_dict  # isort: skip
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer  # isort: skip
from transformers import AutoConfig, PretrainedConfig  # isort: skip

CONTEXT_LENGTH = 77
"""Tokens that a model reads where its configuration does not tell."""
TEXT_PREFIX = "text.transformer."
BERTS: dict[str, dict[str, Any]] = {
    "xlm-roberta": {"layer_norm_eps": 1e-5},
    "roberta": {"layer_norm_eps": 1e-5},
    "bert": {"layer_norm_eps": 1e-12},
}
"""Text networks whose sizes show in their weights, and what does not show."""
HEAD_FEATURES = 64
"""All of them have a head for so many features."""
LISTED = 3
"""So many weights are named in a message."""
BATCH_BYTES = 2**25
"""What the images of one batch may occupy; the network needs some ten times as much for them."""
TEXT_BATCH = 64
"""Texts that are encoded in one batch."""
UNKNOWN_SHARE = 0.5
"""A text of which such a share is unknown to the tokenizer says nothing."""
MAX_TOKENS = 1024
"""Tokens up to which the length of a text is counted."""

UnitEmbeddings = NDArray[np.float32]
"""(N, C), each of length 1."""


class ClipModel:
    """Encodes images and texts to embeddings, similar for an image and its caption."""

    def __init__(self, folder: ClipFolder, network: Any, device: str) -> None:
        self.name = folder.path.name
        self.device = device
        self.is_multilingual = folder.is_multilingual
        self._network = network.to(device)
        self._tokenizer: Any = load_tokenizer(folder)
        self._context: int = self._tokenizer.context_length
        self._truncates_padding = bool(folder.text_network) and not folder.text.get(
            "tokenizer_mode"
        )
        size = self._network.visual.image_size
        self.side: tuple[int, int] = (size, size) if isinstance(size, int) else tuple(size)
        self._mean = self._channels(folder.preprocessing.get("mean") or OPENAI_DATASET_MEAN)
        self._std = self._channels(folder.preprocessing.get("std") or OPENAI_DATASET_STD)

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
        checked = checked_device(device)
        clip_folder = ClipFolder.open(folder)
        return cls(clip_folder, load_network(clip_folder), checked)

    @property
    def scale(self) -> float:
        """The logit scale: what cosine similarities are multiplied by before the softmax."""
        return float(self._network.logit_scale.exp())

    @torch.inference_mode()
    def encode_images(self, images: Iterable[NDArray[np.float32]]) -> UnitEmbeddings:
        """Encode images, each (h, w, 3) in 0..1 and of any size."""
        count = max(1, BATCH_BYTES // (3 * self.side[0] * self.side[1] * 4))
        encoded = [self._encoded_images(batch) for batch in _batches(images, count)]
        return np.concatenate(encoded) if encoded else np.zeros((0, 0), np.float32)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> UnitEmbeddings:
        """Encode texts.

        Raises
        ------
        PromptError
            If one is longer than the model reads, or in a language that it does not.
        """
        for text in texts:
            self.check(text)
        encoded = [self._encoded_texts(batch) for batch in _batches(texts, TEXT_BATCH)]
        return np.concatenate(encoded) if encoded else np.zeros((0, 0), np.float32)

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
        return int((self._tokens([text], MAX_TOKENS) != self._padding).sum())

    def _is_unknown(self, text: str) -> bool:
        unknown = getattr(getattr(self._tokenizer, "tokenizer", None), "unk_token_id", None)
        if unknown is None:
            return False
        token_ids = self._tokenizer.tokenizer(text, add_special_tokens=False)["input_ids"]
        return token_ids.count(unknown) >= UNKNOWN_SHARE * len(token_ids)

    @property
    def _padding(self) -> int:
        return int(getattr(getattr(self._tokenizer, "tokenizer", None), "pad_token_id", 0) or 0)

    def _tokens(self, texts: Sequence[str], length: int) -> Tensor:
        return self._tokenizer(list(texts), context_length=length)

    def _encoded_texts(self, texts: Sequence[str]) -> UnitEmbeddings:
        tokens = self._tokens(texts, self._context)
        if self._truncates_padding:  # what follows the longest text is padding, and masked
            tokens = tokens[:, : int((tokens != self._padding).any(0).sum())]
        embeddings = self._network.encode_text(tokens.to(self.device), normalize=True)
        return embeddings.float().cpu().numpy()

    def _encoded_images(self, images: Sequence[NDArray[np.float32]]) -> UnitEmbeddings:
        resized = torch.cat([self._resized(image) for image in images])
        pixels = (resized.to(self.device) - self._mean) / self._std
        return self._network.encode_image(pixels, normalize=True).float().cpu().numpy()

    def _resized(self, image: NDArray[np.float32]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        resized = F.interpolate(
            pixels, self.side, mode="bicubic", align_corners=False, antialias=True
        )
        return resized.clamp(0, 1)

    def _channels(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device).reshape(1, 3, 1, 1)


def load_network(folder: ClipFolder) -> nn.Module:
    """Load the networks that encode images and texts.

    Raises
    ------
    WeightsError
        If the weights are not those of the model that the folder describes.
    """
    weights = _read_weights(folder.weights)
    network = _build_network(folder, weights)
    state = _renamed_weights(weights, network)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    unfit = [name for name in shapes if name not in state or state[name].shape != shapes[name]]
    if unfit:
        raise WeightsError(
            f"{folder.weights} lacks {_listed(unfit)}: it is not the whole model that "
            f"{folder.path.name} describes. Download or copy it again."
        )
    network.load_state_dict({name: state[name] for name in shapes})
    return network.eval().requires_grad_(False)


def load_tokenizer(folder: ClipFolder) -> HFTokenizer | SimpleTokenizer:
    """Load the tokenizer.

    Raises
    ------
    WeightsError
        If the files of the folder cannot be read.
    """
    settings = dict(folder.text.get("tokenizer_kwargs") or {})
    length = int(folder.text.get("context_length") or CONTEXT_LENGTH)
    if not folder.tokenizer:
        return SimpleTokenizer(context_length=length, **settings)
    try:
        return HFTokenizer(
            str(folder.path),
            context_length=length,
            tokenizer_mode=folder.text.get("tokenizer_mode"),
            local_files_only=True,
            **settings,
        )
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"The tokenizer in {folder.path} cannot be read ({error}): copy tokenizer.json and "
            f"tokenizer_config.json of {folder.tokenizer} into it again."
        ) from error


def _read_weights(file: Path) -> dict[str, Tensor]:
    if file.suffix != ".safetensors":
        weights = read_pickled(file)
    else:
        read_header(file)  # refuses what is cut short
        weights = load_file(file)
    return {name.removeprefix("module."): value for name, value in weights.items()}


def _build_network(folder: ClipFolder, weights: Mapping[str, Tensor]) -> nn.Module:
    sizes = json.loads(json.dumps(folder.model))
    is_custom = sizes.pop("custom_text", False) or folder.text_network
    if "multimodal_cfg" in sizes:
        raise WeightsError(
            f"{folder.path} holds a model that writes captions, which cannot be used here: choose "
            "BiomedCLIP or another CLIP."
        )
    network_class = open_clip.CustomTextCLIP if is_custom else open_clip.CLIP
    sizes["vision_cfg"]["timm_model_pretrained"] = False
    sizes["text_cfg"]["hf_model_pretrained"] = False
    with TemporaryDirectory() as temporary:
        if folder.text_network:
            _text_config(folder, weights).save_pretrained(temporary)
            sizes["text_cfg"]["hf_model_name"] = temporary  # or the hub would be searched for it
        try:
            return network_class(**sizes)
        except (TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{folder.path} holds a model that open_clip {open_clip.__version__} cannot build "
                f"({error}): choose another, or update open_clip_torch."
            ) from error


def _text_config(folder: ClipFolder, weights: Mapping[str, Tensor]) -> PretrainedConfig:
    """Return the sizes of the text network, from beside the weights or from their shapes."""
    if (folder.path / "config.json").is_file():
        config = AutoConfig.from_pretrained(folder.path, local_files_only=True)
        if config.model_type in arch_dict:
            return config
    model_type = next((name for name in BERTS if name in folder.text_network.lower()), "")
    try:
        return _config_from_shapes(model_type, weights)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{folder.path} does not say how large its text network is: copy config.json of "
            f"{folder.text_network} into it."
        ) from error


def _config_from_shapes(model_type: str, weights: Mapping[str, Tensor]) -> PretrainedConfig:
    def rows(name: str) -> int:
        return len(weights[f"{TEXT_PREFIX}{name}.weight"])

    width = weights[f"{TEXT_PREFIX}embeddings.word_embeddings.weight"].shape[1]
    if width % HEAD_FEATURES:
        raise ValueError(width)
    layers = {
        name.split(".")[4] for name in weights if name.startswith(f"{TEXT_PREFIX}encoder.layer.")
    }
    return AutoConfig.for_model(
        model_type,
        vocab_size=rows("embeddings.word_embeddings"),
        hidden_size=width,
        num_hidden_layers=len(layers),
        num_attention_heads=width // HEAD_FEATURES,
        intermediate_size=rows("encoder.layer.0.intermediate.dense"),
        max_position_embeddings=rows("embeddings.position_embeddings"),
        type_vocab_size=rows("embeddings.token_type_embeddings"),
        **BERTS[model_type],
    )


def _renamed_weights(weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Name and shape weights as this version of open_clip does."""
    if "positional_embedding" in weights and not hasattr(network, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    return {
        name: value.reshape(shapes[name]) if name in shapes and value.numel() == 1 else value
        for name, value in weights.items()
    }


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


def _batches(items: Iterable[Any], count: int) -> Iterator[list[Any]]:
    remaining = iter(items)
    while batch := list(islice(remaining, count)):
        yield batch
