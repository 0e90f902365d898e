from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

from napari_sam3.benchmarks.stock_models import random_model
from napari_sam3.engine.backends.sam import attention as attending
from napari_sam3.engine.backends.sam.attention import (
    PRODUCTS,
    USUAL,
    attend_as_usual,
    attend_quickly,
    attention,
)
from napari_sam3.engine.backends.sam.concepts import Texts
from napari_sam3.engine.backends.sam.sam2 import Sam2Backend
from napari_sam3.engine.backends.sam.sam3_model import Sam3

ROUNDING = 0.02
"""What bfloat16 leaves of values around one that are averaged."""


def some(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def ways_of(model: nn.Module) -> set[str]:
    return {part.config._attn_implementation for part in model.modules() if hasattr(part, "config")}


def attended(way: str, parts: list[Tensor], said: dict[str, Any]) -> Tensor:
    """Ask transformers for attention that is calculated in a way."""
    answer: Tensor = AttentionInterface()[way](nn.Module(), *parts, **said)[0]
    return answer


@pytest.fixture
def no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


@pytest.mark.parametrize("few", [2**30, 1], ids=["at once", "head by head"])
@pytest.mark.parametrize("known", [7, 700])
def test_values_are_those_of_torch(known: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attending, "FEW", few)
    query, key, value = some(2, 3, 300, 32), some(2, 3, known, 32), some(2, 3, known, 48)

    answer = attention(query, key, value, 0.2)

    right = F.scaled_dot_product_attention(*(t.float() for t in (query, key, value)), scale=0.2)
    assert answer.dtype == torch.bfloat16
    torch.testing.assert_close(answer.float(), right, atol=ROUNDING, rtol=0)


def test_weights_of_many_queries_are_not_held_together() -> None:
    query, key = some(1, 1, 4096, 16), some(1, 1, 4096, 16)

    with torch.profiler.profile(profile_memory=True) as seen:
        attention(query, key, key, 0.25)

    most = max(event.cpu_memory_usage for event in seen.events())
    assert most < 4 * attending.ROWS * 4096 * 2  # bytes of the weights of one block, and some more


@pytest.mark.parametrize(
    "said",
    [
        {"attention_mask": -1e4 * torch.eye(8, dtype=torch.bfloat16)[None, None]},
        {"attention_mask": None, "is_causal": True},
    ],
    ids=["mask", "reads onwards"],
)
def test_limited_attention_is_that_of_transformers(said: dict[str, Any]) -> None:
    parts = [some(1, 2, 8, 16) for _ in range(3)]

    answers = [
        AttentionInterface()[way](nn.Module(), *parts, **said)[0] for way in (PRODUCTS, USUAL)
    ]

    assert torch.equal(*answers)


def test_scaling_reaches_transformers() -> None:
    parts = [some(1, 2, 8, 16, dtype=torch.float32) for _ in range(3)]
    said = {"attention_mask": None, "is_causal": False, "scaling": 0.9}

    answers = [
        AttentionInterface()[way](nn.Module(), *parts, **said)[0] for way in (PRODUCTS, USUAL)
    ]

    assert torch.equal(*answers)


@pytest.mark.usefixtures("no_tiles")
def test_long_numbers_stay_as_they_are(tiny_sam2) -> None:
    backend = Sam2Backend.load(tiny_sam2, "cpu", "float32")

    assert ways_of(backend._model) == {USUAL}


@pytest.mark.usefixtures("no_tiles")
def test_short_numbers_are_multiplied(tiny_sam2) -> None:
    backend = Sam2Backend.load(tiny_sam2, "cpu", "bfloat16")

    assert PRODUCTS in ways_of(backend._model)


def test_processors_that_multiply_tiles_are_left_to_torch(tiny_sam2, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})

    backend = Sam2Backend.load(tiny_sam2, "cpu", "bfloat16")

    assert ways_of(backend._model) == {USUAL}


@pytest.mark.usefixtures("no_tiles")
def test_stock_classes_attend_as_usual() -> None:
    with torch.device("meta"):
        model = random_model("facebook/sam2.1-hiera-tiny")
    attend_quickly(model, "cpu", "bfloat16")

    attend_as_usual(model)

    assert ways_of(model) == {USUAL}


@pytest.mark.usefixtures("no_tiles")
def test_words_are_read_as_before(tiny_sam3: Path) -> None:
    sam3 = Sam3.load(tiny_sam3, precision="bfloat16")
    with torch.inference_mode():
        quick = Texts.load(tiny_sam3, sam3).read("cell")
        attend_as_usual(sam3.detector)
        usual = Texts.load(tiny_sam3, sam3).read("cell")

    torch.testing.assert_close(quick.features, usual.features)


@pytest.mark.usefixtures("no_tiles")
def test_images_are_seen_as_before(tiny_sam3: Path, pixel_values: Tensor) -> None:
    sam3 = Sam3.load(tiny_sam3, precision="bfloat16")
    with torch.inference_mode():
        quick = sam3.embed(pixel_values, (150, 200)).tokens
        attend_as_usual(sam3.detector)
        usual = sam3.embed(pixel_values, (150, 200)).tokens

    torch.testing.assert_close(quick, usual, atol=2 * ROUNDING, rtol=0)
