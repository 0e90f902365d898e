"""SAM 1 as published, and as micro-sam trains it, made into a folder that transformers reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...values import WeightsError
from .. import without_triton  # noqa: F401  before torch or transformers are imported
from .checkpoints import CONFIG
from .state_dicts import (
    KeyRule,
    Progress,
    converted_tensors,
    head_rules,
    module_rules,
    read_pickled,
    write_folder,
)

from transformers import SamConfig, SamModel  # isort: skip

PROJECTIONS = {name: name for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
NORMS = {f"layer_norm{number}": f"norm{number}" for number in range(1, 5)}
LINEAR = {"mlp.lin1": "mlp.lin1", "mlp.lin2": "mlp.lin2"}
POSITIONAL_ENCODING = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
ATTENTIONS = ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")


def convert_sam1(path: Path, folder: Path, progress: Progress) -> Path:
    """Convert a local file in the layout of SAM 1; what segments automatically is left out.

    Raises
    ------
    WeightsError
        If the file is not SAM 1, whole and of a known size.
    StorageError
        If the folder cannot be written.
    """
    published = read_pickled(path)
    config = config_of(path, published)
    with torch.device("meta"):
        model = SamModel(config)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    config.architectures = [SamModel.__name__]
    tensors = converted_tensors(path, shapes, published, RULES)
    return write_folder(folder, tensors, {CONFIG: config.to_json_string()}, progress)


def config_of(path: Path, published: Mapping[str, Tensor]) -> SamConfig:
    """Derive the size of the model from the shapes of its weights.

    Raises
    ------
    WeightsError
        If they are not those of a known size.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in published.items()}
    try:
        _, grid, _, width = shapes["image_encoder.pos_embed"]
        patch = shapes["image_encoder.patch_embed.proj.weight"][-1]
        channels = shapes["image_encoder.neck.0.weight"][0]
        mlp_dim = shapes["image_encoder.blocks.0.mlp.lin1.weight"][0]
        relative_rows = [
            shapes[f"image_encoder.blocks.{n}.attn.rel_pos_h"][0]
            for n in range(_count_blocks(published))
        ]
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} has no image encoder of SAM 1: choose another file.") from error
    head_width = shapes["image_encoder.blocks.0.attn.rel_pos_h"][1]
    if width % head_width:
        raise WeightsError(f"{path} is a SAM 1 of an unknown size: choose vit_b, vit_l or vit_h.")
    vision = {
        "hidden_size": width,
        "output_channels": channels,
        "num_hidden_layers": len(relative_rows),
        "num_attention_heads": width // head_width,
        "image_size": grid * patch,
        "patch_size": patch,
        "window_size": (min(relative_rows) + 1) // 2,
        "global_attn_indexes": [n for n, rows in enumerate(relative_rows) if rows == 2 * grid - 1],
        "num_pos_feats": channels // 2,
        "mlp_dim": mlp_dim,
    }
    return SamConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": channels, "image_size": grid * patch},
        mask_decoder_config=_decoder_config(shapes, channels),
    )


def _decoder_config(shapes: Mapping[str, tuple[int, ...]], channels: int) -> dict[str, int]:
    mlp_dim = shapes.get("mask_decoder.transformer.layers.0.mlp.lin1.weight", (2048,))
    hidden = shapes.get("mask_decoder.iou_prediction_head.layers.0.weight", (256,))
    return {"hidden_size": channels, "mlp_dim": mlp_dim[0], "iou_head_hidden_dim": hidden[0]}


def _count_blocks(published: Mapping[str, Tensor]) -> int:
    blocks = {name.split(".")[2] for name in published if name.startswith("image_encoder.blocks.")}
    return len(blocks)


def _encoder_rules() -> list[KeyRule]:
    new, old = "vision_encoder", "image_encoder"
    layer, block = f"{new}.layers.#", f"{old}.blocks.#"
    parts = {"layer_norm1": "norm1", "layer_norm2": "norm2", "attn.qkv": "attn.qkv"}
    neck = {"conv1": "0", "layer_norm1": "1", "conv2": "2", "layer_norm2": "3"}
    return [
        KeyRule(f"{new}.pos_embed", f"{old}.pos_embed"),
        KeyRule(f"{new}.patch_embed.projection.*", f"{old}.patch_embed.proj.*"),
        *(
            KeyRule(f"{layer}.attn.{name}", f"{block}.attn.{name}")
            for name in ("rel_pos_h", "rel_pos_w")
        ),
        *module_rules(layer, block, parts | {"attn.proj": "attn.proj"} | LINEAR),
        *module_rules(f"{new}.neck", f"{old}.neck", neck),
    ]


def _prompt_encoder_rules() -> list[KeyRule]:
    new = old = "prompt_encoder"
    names = {
        "mask_embed.conv1": "mask_downscaling.0",
        "mask_embed.layer_norm1": "mask_downscaling.1",
        "mask_embed.conv2": "mask_downscaling.3",
        "mask_embed.layer_norm2": "mask_downscaling.4",
        "mask_embed.conv3": "mask_downscaling.6",
        "no_mask_embed": "no_mask_embed",
        "not_a_point_embed": "not_a_point_embed",
        "point_embed.#": "point_embeddings.#",
    }
    return [
        KeyRule("shared_image_embedding.positional_embedding", POSITIONAL_ENCODING),
        KeyRule(f"{new}.shared_embedding.positional_embedding", POSITIONAL_ENCODING),
        *module_rules(new, old, names),
    ]


def _mask_decoder_rules() -> list[KeyRule]:
    new = old = "mask_decoder"
    names = {"iou_token": "iou_token", "mask_tokens": "mask_tokens"}
    names |= {"upscale_conv1": "output_upscaling.0", "upscale_layer_norm": "output_upscaling.1"}
    names |= {"upscale_conv2": "output_upscaling.3"}
    names |= {"transformer.layer_norm_final_attn": "transformer.norm_final_attn"}
    layer, final = "transformer.layers.#", "transformer.final_attn_token_to_image"
    attentions = [
        f"{new}.{name}" for name in (*(f"{layer}.{attention}" for attention in ATTENTIONS), final)
    ]
    return [
        *module_rules(new, old, names),
        *module_rules(f"{new}.{layer}", f"{old}.{layer}", NORMS | LINEAR),
        *(
            rule
            for attention in attentions
            for rule in module_rules(attention, attention, PROJECTIONS)
        ),
        *head_rules(f"{new}.output_hypernetworks_mlps.#", f"{old}.output_hypernetworks_mlps.#"),
        *head_rules(f"{new}.iou_prediction_head", f"{old}.iou_prediction_head"),
    ]


RULES: tuple[KeyRule, ...] = (*_encoder_rules(), *_prompt_encoder_rules(), *_mask_decoder_rules())
