"""From a folder of open_clip to its networks; nothing is looked for on the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from .. import without_triton  # noqa: F401  before open_clip imports it
from ..errors import WeightsError
from ..weights.conversion_reading import read_pickled
from ..weights.headers import read_header
from .folder import ClipFolder

import open_clip  # isort: skip
from open_clip.factory import convert_to_custom_text_state_dict  # isort: skip
from open_clip.hf_configs import arch_dict  # isort: skip
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer  # isort: skip
from transformers import AutoConfig, PretrainedConfig  # isort: skip

CONTEXT = 77
"""Tokens that a model reads where nothing else is said."""
TEXT = "text.transformer."
BERTS: dict[str, dict[str, Any]] = {
    "xlm-roberta": {"layer_norm_eps": 1e-5},
    "roberta": {"layer_norm_eps": 1e-5},
    "bert": {"layer_norm_eps": 1e-12},
}
"""Text networks whose sizes show in their weights, and what does not show."""
HEAD = 64
"""All of them have a head for so many features."""
SHOWN = 3


def load_network(folder: ClipFolder) -> nn.Module:
    """Load the networks that look at pictures and read texts.

    Raises
    ------
    WeightsError
        If the weights are not those of the model that the folder describes.
    """
    weights = _weights(folder.weights)
    network = _built(folder, weights)
    state = _fitting(weights, network)
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    wrong = [name for name in wanted if name not in state or state[name].shape != wanted[name]]
    if wrong:
        raise WeightsError(
            f"{folder.weights} lacks {_some(wrong)}: it is not the whole model that "
            f"{folder.path.name} describes. Download or copy it again."
        )
    network.load_state_dict({name: state[name] for name in wanted})
    return network.eval().requires_grad_(False)


def load_tokenizer(folder: ClipFolder) -> HFTokenizer | SimpleTokenizer:
    """Load what cuts texts into tokens.

    Raises
    ------
    WeightsError
        If the files of the folder cannot be read.
    """
    settings = dict(folder.text.get("tokenizer_kwargs") or {})
    length = int(folder.text.get("context_length") or CONTEXT)
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


def _weights(file: Path) -> dict[str, Tensor]:
    if file.suffix != ".safetensors":
        found = read_pickled(file)
    else:
        read_header(file)  # refuses what is cut short
        found = load_file(file)
    return {name.removeprefix("module."): value for name, value in found.items()}


def _built(folder: ClipFolder, weights: Mapping[str, Tensor]) -> nn.Module:
    sizes = json.loads(json.dumps(folder.model))
    is_custom = sizes.pop("custom_text", False) or folder.text_network
    if "multimodal_cfg" in sizes:
        raise WeightsError(
            f"{folder.path} holds a model that writes captions, which cannot be used here: choose "
            "BiomedCLIP or another CLIP."
        )
    kind = open_clip.CustomTextCLIP if is_custom else open_clip.CLIP
    sizes["vision_cfg"]["timm_model_pretrained"] = False
    sizes["text_cfg"]["hf_model_pretrained"] = False
    with TemporaryDirectory() as aside:
        if folder.text_network:
            _text_config(folder, weights).save_pretrained(aside)
            sizes["text_cfg"]["hf_model_name"] = aside  # or it would be looked for on the hub
        try:
            return kind(**sizes)
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
    kind = next((kind for kind in BERTS if kind in folder.text_network.lower()), None)
    try:
        return _config_of(kind or "", weights)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{folder.path} does not say how large its text network is: copy config.json of "
            f"{folder.text_network} into it."
        ) from error


def _config_of(kind: str, weights: Mapping[str, Tensor]) -> PretrainedConfig:
    def rows(name: str) -> int:
        return len(weights[f"{TEXT}{name}.weight"])

    width = weights[f"{TEXT}embeddings.word_embeddings.weight"].shape[1]
    if width % HEAD:
        raise ValueError(width)
    layers = {name.split(".")[4] for name in weights if name.startswith(f"{TEXT}encoder.layer.")}
    return AutoConfig.for_model(
        kind,
        vocab_size=rows("embeddings.word_embeddings"),
        hidden_size=width,
        num_hidden_layers=len(layers),
        num_attention_heads=width // HEAD,
        intermediate_size=rows("encoder.layer.0.intermediate.dense"),
        max_position_embeddings=rows("embeddings.position_embeddings"),
        type_vocab_size=rows("embeddings.token_type_embeddings"),
        **BERTS[kind],
    )


def _fitting(weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Name and shape weights as this version of open_clip does."""
    if "positional_embedding" in weights and not hasattr(network, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    return {
        name: value.reshape(shapes[name]) if name in shapes and value.numel() == 1 else value
        for name, value in weights.items()
    }


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
