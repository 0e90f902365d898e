"""Models of full size with random weights: as slow as the real ones, and there without them."""

from __future__ import annotations

import string
from collections.abc import Callable

import torch
from transformers import (
    CLIPTokenizer,
    EdgeTamVideoConfig,
    EdgeTamVideoModel,
    PreTrainedModel,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam3VideoConfig,
    Sam3VideoModel,
)

from ..errors import ModelError

START, END = "<|startoftext|>", "<|endoftext|>"
LONGEST = 32  # tokens of a text
SURE = 3.0
"""How sure the models are that an object is there, so that it is followed."""


def random_model(name: str) -> PreTrainedModel:
    """Build a model of full size with the same random weights in every run.

    Raises
    ------
    ModelError
        If it is not known how large this model is.
    """
    build = FULL_SIZE.get(name)
    if build is None:
        raise ModelError(
            f"There are no random weights for {name}: choose {', '.join(FULL_SIZE)}, or leave out "
            "--random-weights."
        )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = build().requires_grad_(False)
        model.train(False)
        for weights_name, weights in model.named_parameters():
            if weights_name.endswith("pred_obj_score_head.proj_out.bias"):
                weights.fill_(SURE)
    return model


def letter_tokenizer() -> CLIPTokenizer:
    """Return a tokenizer that spells words: random weights do not mind."""
    letters = [*string.ascii_lowercase, *string.digits]
    words = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=LONGEST, pad_token=END)


def _sam3() -> PreTrainedModel:
    return Sam3VideoModel(Sam3VideoConfig())


def _sam2_tiny() -> PreTrainedModel:
    return Sam2VideoModel(Sam2VideoConfig())


def _edgetam() -> PreTrainedModel:
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        "num_classes": 1000,
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    }
    vision = {"model_type": "edgetam_vision_model", "backbone_config": backbone}
    return EdgeTamVideoModel(EdgeTamVideoConfig(vision_config=vision))


FULL_SIZE: dict[str, Callable[[], PreTrainedModel]] = {
    "facebook/sam3": _sam3,
    "facebook/sam2.1-hiera-tiny": _sam2_tiny,
    "yonigozlan/EdgeTAM-hf": _edgetam,
}
"""What builds a model, by the name of the real one."""
