"""What a folder with a text model of open_clip holds, read before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ...values import WeightsError
from .catalog import OPEN_CLIP_FILES

TOKENIZERS = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model")
MULTILINGUAL = ("xlm", "mt5", "nllb", "m2m", "multilingual", "gemma", "siglip2")
"""What is in the names of text networks and tokenizers that read many languages."""


@dataclass(frozen=True, slots=True)
class ClipFolder:
    """A folder in the layout of the Hugging Face hub."""

    path: Path
    model: Mapping[str, Any]  # sizes of the networks
    preprocessing: Mapping[str, Any]  # mean and std of the images it was trained on
    weights: Path

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what a folder holds.

        Raises
        ------
        WeightsError
            If something is missing or cannot be read.
        """
        file = folder / OPEN_CLIP_FILES.config
        config = _read_config(file)
        model = config.get("model_cfg")
        if not isinstance(model, dict) or not {"vision_cfg", "text_cfg"} <= set(model):
            raise WeightsError(f"{file} describes no model: copy it again.")
        names = OPEN_CLIP_FILES.weights
        weights = next((folder / name for name in names if (folder / name).is_file()), None)
        if weights is None:
            raise WeightsError(
                f"The folder {folder} lacks its weights: copy {names[0]} or {names[-1]} into it."
            )
        opened = cls(folder, model, config.get("preprocess_cfg") or {}, weights)
        opened._check_tokenizer()
        return opened

    @property
    def text(self) -> Mapping[str, Any]:
        """The configuration of the network that reads texts."""
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
        """Whether it was trained with texts in many languages."""
        names = f"{self.text_network} {self.tokenizer}".lower()
        return any(part in names for part in MULTILINGUAL)

    def _check_tokenizer(self) -> None:
        if self.tokenizer and not any((self.path / name).is_file() for name in TOKENIZERS):
            raise WeightsError(
                f"{self.path} lacks its tokenizer: copy tokenizer.json and tokenizer_config.json "
                f"of {self.tokenizer} into it."
            )


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file} cannot be read ({error}): copy it again.") from error
    return config if isinstance(config, dict) else {}
