"""What a folder with a text model of open_clip holds, found out before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ...values import ModelError, WeightsError
from .catalog import GIGABYTE, CatalogModel

CLIP_CONFIG = "open_clip_config.json"
CLIP_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""The files of weights, the one to be preferred first."""
TOKENIZERS = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model")
MANY_LANGUAGES = ("xlm", "mt5", "nllb", "m2m", "multilingual", "gemma", "siglip2")
"""What is in the names of text networks and tokenizers that read many languages."""


@dataclass(frozen=True, slots=True)
class ClipFolder:
    """A folder in the layout of the Hugging Face hub."""

    path: Path
    model: Mapping[str, Any]  # sizes of the networks
    preprocessing: Mapping[str, Any]  # mean and std of the images it has seen
    weights: Path

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Find out what a folder holds.

        Raises
        ------
        WeightsError
            If something is missing or cannot be read.
        """
        config = _read(folder / CLIP_CONFIG)
        model = config.get("model_cfg")
        if not isinstance(model, dict) or not {"vision_cfg", "text_cfg"} <= set(model):
            raise WeightsError(f"{folder / CLIP_CONFIG} describes no model: copy it again.")
        weights = next((folder / name for name in CLIP_WEIGHTS if (folder / name).is_file()), None)
        if weights is None:
            raise WeightsError(
                f"The folder {folder} lacks its weights: copy {CLIP_WEIGHTS[0]} or "
                f"{CLIP_WEIGHTS[-1]} into it."
            )
        opened = cls(folder, model, config.get("preprocess_cfg") or {}, weights)
        opened._check_tokenizer()
        return opened

    @property
    def text(self) -> Mapping[str, Any]:
        """What is said of the network that reads texts."""
        return self.model["text_cfg"]

    @property
    def tokenizer(self) -> str:
        """The name of the tokenizer; empty for that of OpenAI, which open_clip brings along."""
        return str(self.text.get("hf_tokenizer_name") or "")

    @property
    def text_network(self) -> str:
        """The name of a text network of transformers; empty for one of open_clip itself."""
        return str(self.text.get("hf_model_name") or "")

    @property
    def is_multilingual(self) -> bool:
        """Whether it was taught with texts in many languages."""
        names = f"{self.text_network} {self.tokenizer}".lower()
        return any(part in names for part in MANY_LANGUAGES)

    def _check_tokenizer(self) -> None:
        if self.tokenizer and not any((self.path / name).is_file() for name in TOKENIZERS):
            raise WeightsError(
                f"{self.path} lacks its tokenizer: copy tokenizer.json and tokenizer_config.json "
                f"of {self.tokenizer} into it."
            )


def _read(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file} cannot be read ({error}): copy it again.") from error
    return config if isinstance(config, dict) else {}


MIT = "MIT: free to use, also commercially."
ENGLISH = "Ranks what a model without words has found by a text in English."


def _clip(name: str, title: str, millions: int, abilities: str) -> CatalogModel:
    parameters = millions * 1_000_000
    return CatalogModel(
        id=name,
        title=title,
        parameters=parameters,
        download_bytes=4 * parameters,
        licence=MIT,
        abilities=abilities,
        memory_bytes=GIGABYTE + 8 * parameters,  # the weights are there twice while they are read
        gpu_bytes=GIGABYTE + 4 * parameters,
        cpu_seconds=None,
        gpu_seconds=None,
    )


BIOMED_CLIP = _clip(
    "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
    "BiomedCLIP",
    196,
    f"{ENGLISH} Has learnt from the figures of biomedical papers.",
)
CLIPS: tuple[CatalogModel, ...] = (
    BIOMED_CLIP,
    _clip(
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "CLIP",
        151,
        f"{ENGLISH} Has learnt from pictures of everyday life.",
    ),
    _clip(
        "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k",
        "Multilingual CLIP",
        366,
        "Ranks what a model without words has found by a text in any of a hundred languages.",
    ),
)


def known_clip(name: str) -> CatalogModel | None:
    """Return the text model of this id, if it is known."""
    return next((model for model in CLIPS if model.id == name), None)


def clip_path(place: str | Path) -> Path:
    """Return the folder that a place or a name on the hub stands for.

    Raises
    ------
    ModelError
        If it is not on this computer.
    """
    path = Path(place).expanduser()
    if (path / CLIP_CONFIG).is_file():
        return path
    if path.exists():
        raise ModelError(
            f"{path} holds no text model: choose a folder that has an {CLIP_CONFIG}, such as that "
            "of BiomedCLIP."
        )
    found = None if isinstance(place, Path) else _cached(place)
    if found is not None:
        return found
    known = known_clip(str(place))
    if known is not None:
        raise ModelError(
            f"{known.title} is not on this computer: download it in the Model panel, or get its "
            f"folder from {known.page} and choose that."
        )
    raise ModelError(
        f"There is no text model {place}: choose a folder that has an {CLIP_CONFIG}, or a name "
        "such as microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224."
    )


def is_clip_here(name: str) -> bool:
    """Whether a text model can be loaded without a download."""
    return (Path(name) / CLIP_CONFIG).is_file() or _cached(name) is not None


def _cached(name: str) -> Path | None:
    """Return where the hub's own cache keeps a text model, if all that it needs is there."""
    from huggingface_hub import try_to_load_from_cache  # takes a while to import
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, CLIP_CONFIG)
        weights = [try_to_load_from_cache(name, file) for file in CLIP_WEIGHTS]
    except HFValidationError:
        return None
    if not isinstance(config, str) or not any(isinstance(file, str) for file in weights):
        return None
    return Path(config).parent
