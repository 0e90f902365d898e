"""Devices are offered, checked and asked for what they can do."""

from __future__ import annotations

import pytest
import torch

from napari_sam3.engine import ModelError
from napari_sam3.engine.devices import (
    available_devices,
    checked_device,
    compute_dtype,
    device_bytes,
    synchronize,
)


def test_processor_is_the_last_device_offered() -> None:
    assert available_devices()[-1] == "cpu"


def test_automatic_device_is_the_fastest() -> None:
    assert checked_device("auto") == available_devices()[0]


def test_device_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ModelError, match=r"no device 'warp': choose one of auto, .*cpu"):
        checked_device("warp")


@pytest.mark.parametrize(("capabilities", "dtype"), [
    ({}, "float32"),
    ({"avx512_bf16": True}, "bfloat16"),
    ({"amx_bf16": True}, "bfloat16"),
])  # fmt: skip
def test_processor_computes_in_bfloat16_where_it_has_instructions_for_it(
    capabilities: dict[str, bool], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert compute_dtype("cpu") == dtype


def test_gpu_computes_in_float32_by_default() -> None:
    assert compute_dtype("cuda") == "float32"


def test_processor_has_no_memory_of_its_own_and_nothing_to_wait_for() -> None:
    synchronize("cpu")

    assert device_bytes("cpu") == 0
