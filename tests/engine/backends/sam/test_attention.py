from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

from napari_sam3.benchmarks.stock_models import random_model
from napari_sam3.engine.backends.sam import attention
from napari_sam3.engine.backends.sam.attention import (
    MATMUL,
    SDPA,
    matmul_attention,
    use_fastest_attention,
    use_sdpa_attention,
)
from napari_sam3.engine.backends.sam.concepts import TextEncoder
from napari_sam3.engine.backends.sam.sam2 import Sam2Backend
from napari_sam3.engine.backends.sam.sam3_model import Sam3

ROUNDING = 0.02
"""What bfloat16 leaves of values around one that are averaged."""


def noise(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def implementations_of(model: nn.Module) -> set[str]:
    return {
        module.config._attn_implementation
        for module in model.modules()
        if hasattr(module, "config")
    }


def attend(implementation: str, tensors: list[Tensor], options: dict[str, Any]) -> Tensor:
    """Compute attention with an implementation that transformers knows."""
    output: Tensor = AttentionInterface()[implementation](nn.Module(), *tensors, **options)[0]
    return output


@pytest.fixture
def without_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


@pytest.mark.parametrize("small_attention", [2**30, 1], ids=["at once", "head by head"])
@pytest.mark.parametrize("keys", [7, 700])
def test_values_are_those_of_torch(
    keys: int, small_attention: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "SMALL_ATTENTION", small_attention)
    query, key, value = noise(2, 3, 300, 32), noise(2, 3, keys, 32), noise(2, 3, keys, 48)

    output = matmul_attention(query, key, value, 0.2)

    expected = F.scaled_dot_product_attention(*(t.float() for t in (query, key, value)), scale=0.2)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=ROUNDING, rtol=0)


def test_weights_of_many_queries_are_not_held_together() -> None:
    query, key = noise(1, 1, 4096, 16), noise(1, 1, 4096, 16)

    with torch.profiler.profile(profile_memory=True) as profile:
        matmul_attention(query, key, key, 0.25)

    peak = max(event.cpu_memory_usage for event in profile.events())
    assert (
        peak < 4 * attention.QUERY_BLOCK * 4096 * 2
    )  # bytes of the weights of one block, and some more


@pytest.mark.parametrize(
    "options",
    [
        {"attention_mask": -1e4 * torch.eye(8, dtype=torch.bfloat16)[None, None]},
        {"attention_mask": None, "is_causal": True},
    ],
    ids=["mask", "causal"],
)
def test_limited_attention_is_that_of_transformers(options: dict[str, Any]) -> None:
    tensors = [noise(1, 2, 8, 16) for _ in range(3)]

    outputs = [
        AttentionInterface()[implementation](nn.Module(), *tensors, **options)[0]
        for implementation in (MATMUL, SDPA)
    ]

    assert torch.equal(*outputs)


def test_scaling_reaches_transformers() -> None:
    tensors = [noise(1, 2, 8, 16, dtype=torch.float32) for _ in range(3)]
    options = {"attention_mask": None, "is_causal": False, "scaling": 0.9}

    outputs = [
        AttentionInterface()[implementation](nn.Module(), *tensors, **options)[0]
        for implementation in (MATMUL, SDPA)
    ]

    assert torch.equal(*outputs)


@pytest.mark.usefixtures("without_amx")
def test_float32_stays_with_sdpa(tiny_sam2) -> None:
    backend = Sam2Backend.load(tiny_sam2, "cpu", "float32")

    assert implementations_of(backend._model) == {SDPA}


@pytest.mark.usefixtures("without_amx")
def test_bfloat16_is_computed_by_matrix_products(tiny_sam2) -> None:
    backend = Sam2Backend.load(tiny_sam2, "cpu", "bfloat16")

    assert MATMUL in implementations_of(backend._model)


def test_processors_with_amx_are_left_to_torch(tiny_sam2, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})

    backend = Sam2Backend.load(tiny_sam2, "cpu", "bfloat16")

    assert implementations_of(backend._model) == {SDPA}


@pytest.mark.usefixtures("without_amx")
def test_stock_classes_use_sdpa() -> None:
    with torch.device("meta"):
        model = random_model("facebook/sam2.1-hiera-tiny")
    use_fastest_attention(model, "cpu", "bfloat16")

    use_sdpa_attention(model)

    assert implementations_of(model) == {SDPA}


@pytest.mark.usefixtures("without_amx")
def test_texts_are_encoded_as_before(tiny_sam3: Path) -> None:
    sam3 = Sam3.load(tiny_sam3, precision="bfloat16")
    with torch.inference_mode():
        fastest = TextEncoder.load(tiny_sam3, sam3).encode("cell")
        use_sdpa_attention(sam3.detector)
        stock = TextEncoder.load(tiny_sam3, sam3).encode("cell")

    torch.testing.assert_close(fastest.features, stock.features)


@pytest.mark.usefixtures("without_amx")
def test_images_are_encoded_as_before(tiny_sam3: Path, pixel_values: Tensor) -> None:
    sam3 = Sam3.load(tiny_sam3, precision="bfloat16")
    with torch.inference_mode():
        fastest = sam3.encode(pixel_values, (150, 200)).tokens
        use_sdpa_attention(sam3.detector)
        stock = sam3.encode(pixel_values, (150, 200)).tokens

    torch.testing.assert_close(fastest, stock, atol=2 * ROUNDING, rtol=0)
