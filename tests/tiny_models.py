"""Tiny checkpoints with random weights, in the file layout of the real ones.

The weights are the same in every run. They are drawn so that every layer passes on its
input, and masks depend on prompts and images; no parameter is zero, so that code which ignores one
is noticed; and every object is predicted as present.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import (
    CLIPTokenizer,
    EdgeTamVideoConfig,
    EdgeTamVideoModel,
    PreTrainedModel,
    Sam2ImageProcessor,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VideoProcessor,
    Sam2VideoVideoProcessor,
    Sam3ImageProcessor,
    Sam3VideoConfig,
    Sam3VideoModel,
    Sam3VideoProcessor,
    SamConfig,
    SamImageProcessor,
    SamModel,
)

WIDTH = 128  # of the tracker; its memory needs a multiple of 64 that is larger than 64
GRID = 8  # tokens along each side
SAM3_SIDE, SAM3_PATCH = 112, 14
SAM2_SIDE, SAM2_PATCH = 128, 16
QUERIES = 10


def tiny_sam3(folder: Path) -> Path:
    """Write what facebook/sam3 holds: detector, tracker and tokenizer, for 112 pixels."""
    tokenizer = byte_tokenizer()
    config = Sam3VideoConfig(
        detector_config=_sam3_detector(tokenizer),
        tracker_config=_sam3_tracker(),
        low_res_mask_size=4 * GRID,
    )
    # the original format of this class is one that the other SAM 3 classes read only in part
    _random(Sam3VideoModel, config).save_pretrained(folder, save_original_format=False)
    side = {"height": SAM3_SIDE, "width": SAM3_SIDE}
    mask = {"height": 4 * GRID, "width": 4 * GRID}
    images = Sam3ImageProcessor(size=side, mask_size=mask)
    videos = Sam2VideoVideoProcessor(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    Sam3VideoProcessor(images, videos, tokenizer, target_size=SAM3_SIDE).save_pretrained(folder)
    return folder


def tiny_sam2(folder: Path) -> Path:
    """Write what facebook/sam2.1-hiera-tiny-hf holds, for 128 pixels."""
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 16,
        "image_size": [SAM2_SIDE, SAM2_SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 1, 2, 4],
        "window_size_per_stage": [8, 4, 4, 2],
        "window_positional_embedding_background_size": [4, 4],
        "global_attention_blocks": [3],
        "mlp_ratio": 1.0,
    }
    vision = _levels("sam2_vision_model", backbone, [128, 64, 32, 16])
    config = Sam2VideoConfig(vision_config=vision, **_sam2_tracker())
    _random(Sam2VideoModel, config).save_pretrained(folder)
    _sam2_processor().save_pretrained(folder)
    return folder


def tiny_edgetam(folder: Path) -> Path:
    """Write what yonigozlan/EdgeTAM-hf holds, with another network of timm, for 128 pixels."""
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "test_convnext",
        "num_classes": 1000,
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    }
    vision = _levels("edgetam_vision_model", backbone, [64, 48, 32, 24])
    tracker = _sam2_tracker()
    tracker["memory_attention_mlp_hidden_size"] = tracker.pop(
        "memory_attention_feed_forward_hidden_size"
    )
    config = EdgeTamVideoConfig(
        vision_config=vision,
        **tracker,
        memory_attention_rope_k_sizes=[4, 4],
        perceiver_resampler_num_latents=16,
        perceiver_resampler_num_latents_2d=16,
        perceiver_resampler_mlp_intermediate_size=64,
        perceiver_resampler_num_layers=1,
    )
    _random(EdgeTamVideoModel, config).save_pretrained(folder)
    _sam2_processor().save_pretrained(folder)
    return folder


def tiny_sam1(folder: Path) -> Path:
    """Write what facebook/sam-vit-base holds, for 128 pixels."""
    vision = {
        "hidden_size": 32,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SAM2_SIDE,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
        "mlp_dim": 64,
        "initializer_range": 0.02,
    }
    config = SamConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": SAM2_SIDE},
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 64,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 32,
        },
    )
    _random(SamModel, config).save_pretrained(folder)
    longest, square = {"longest_edge": SAM2_SIDE}, {"height": SAM2_SIDE, "width": SAM2_SIDE}
    SamImageProcessor(size=longest, pad_size=square).save_pretrained(folder)
    return folder


def load_tiny(name: str, folder: Path) -> Any:
    """Load a stock class of transformers, as a user of transformers would."""
    return getattr(transformers, name).from_pretrained(folder, local_files_only=True)


@contextmanager
def visits(layer: nn.Module) -> Iterator[list[nn.Module]]:
    """Collect a layer as often as it is called meanwhile."""
    calls: list[nn.Module] = []
    hook = layer.register_forward_hook(lambda called, *_: calls.append(called))
    yield calls
    hook.remove()


def byte_tokenizer() -> CLIPTokenizer:
    """Return a tokenizer of CLIP that knows bytes and merges none of them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [256 + n for n in range(256 - len(plain))]
    letters = [chr(code) for code in (*plain, *rest)]
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocab = {word: n for n, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=32, pad_token="<|endoftext|>")


def _random(model_class: Callable[[Any], PreTrainedModel], config: Any) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = model_class(config).eval()
        for name, parameter in model.named_parameters():
            _draw(name, parameter)
    return model


def _draw(name: str, parameter: nn.Parameter) -> None:
    if name.endswith("pred_obj_score_head.proj_out.bias"):
        parameter.fill_(3)
    elif parameter.ndim > 1:
        parameter.normal_(std=parameter[0].numel() ** -0.5)
    elif not parameter.any():
        parameter.normal_(std=0.1)


def _sam3_vision() -> dict[str, Any]:
    return {
        "model_type": "sam3_vision_model",
        "fpn_hidden_size": WIDTH,
        "scale_factors": [4.0, 2.0, 1.0, 0.5],
        "backbone_feature_sizes": [[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2],
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SAM3_SIDE,
            "patch_size": SAM3_PATCH,
            "window_size": 4,
            "global_attn_indexes": [1],
            "pretrain_image_size": 56,
        },
    }


def _sam3_detector(tokenizer: CLIPTokenizer) -> dict[str, Any]:
    layers = {"hidden_size": WIDTH, "num_attention_heads": 4, "intermediate_size": 64}
    text = {
        "model_type": "clip_text_model",
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "projection_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "hidden_act": "gelu",
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    return {
        "model_type": "sam3",
        "vision_config": _sam3_vision(),
        "text_config": text,
        "geometry_encoder_config": {**layers, "num_layers": 1, "roi_size": 3},
        "detr_encoder_config": {**layers, "num_layers": 1},
        "detr_decoder_config": {**layers, "num_layers": 1, "num_queries": QUERIES},
        "mask_decoder_config": {"hidden_size": WIDTH, "num_attention_heads": 4},
    }


def _sam3_tracker() -> dict[str, Any]:
    return {
        "model_type": "sam3_tracker_video",
        "vision_config": _sam3_vision(),
        **_tracker(SAM3_SIDE, SAM3_PATCH),
    }


def _sam2_tracker() -> dict[str, Any]:
    return _tracker(SAM2_SIDE, SAM2_PATCH)


def _tracker(side: int, patch: int) -> dict[str, Any]:
    return {
        "image_size": side,
        "prompt_encoder_config": {
            "hidden_size": WIDTH,
            "image_size": side,
            "patch_size": patch,
            "mask_input_channels": 8,
        },
        "mask_decoder_config": {
            "hidden_size": WIDTH,
            "num_attention_heads": 4,
            "mlp_dim": 64,
            "iou_head_hidden_dim": WIDTH,
        },
        "memory_attention_hidden_size": WIDTH,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 64,
        "memory_attention_rope_feat_sizes": [GRID, GRID],
        "memory_encoder_hidden_size": WIDTH,
        "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": WIDTH,
        "memory_fuser_embed_dim": WIDTH,
        "memory_fuser_intermediate_dim": 64,
        "memory_fuser_num_layers": 1,
    }


def _levels(model_type: str, backbone: dict[str, Any], channels: list[int]) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "backbone_config": backbone,
        "backbone_channel_list": channels,  # deepest first
        "backbone_feature_sizes": [[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2],
        "fpn_hidden_size": WIDTH,
    }


def _sam2_processor() -> Sam2VideoProcessor:
    side = {"height": SAM2_SIDE, "width": SAM2_SIDE}
    mask = {"height": 4 * GRID, "width": 4 * GRID}
    images = Sam2ImageProcessor(size=side, mask_size=mask)
    return Sam2VideoProcessor(images, Sam2VideoVideoProcessor(size=side), target_size=SAM2_SIDE)
