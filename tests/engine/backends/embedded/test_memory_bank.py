"""The memory bank of an object, and when the object has left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.backends.embedded import memory_bank as memory_banks
from napari_sam3.engine.backends.embedded.decoder_queries import DecoderOutput
from napari_sam3.engine.backends.embedded.feature_pyramid import Crop
from napari_sam3.engine.backends.embedded.memory_bank import (
    MemoryBank,
    memory_query,
    presence_of,
    with_margin,
)
from napari_sam3.engine.backends.embedded.model import EmbeddedBackend

CROP = Crop.around(56, 56, 1.0)
BRIGHT = MemoryBank(
    CROP, torch.zeros(1, 64, 28, 28), np.zeros((112, 112), np.float32), first={}, contrast=0.5
)


def output() -> DecoderOutput:
    """An object of 10 x 10 cells, with a rim one cell wide that is just left out."""
    logits = np.full((56, 56), -5, np.float32)
    logits[19:31, 19:31] = -1
    logits[20:30, 20:30] = 3
    return DecoderOutput(CROP, logits, score=0.9, presence=0.8)


def test_outlines_lie_as_far_out_as_the_first_mask() -> None:
    generous = replace(BRIGHT, margin=1.5)

    found = with_margin([output()], generous)[0]

    assert np.count_nonzero(found.logits > 0) == 12 * 12


@pytest.mark.parametrize(
    ("share", "is_there"), [(1.0, True), (0.4, True), (0.1, False), (-0.2, False), (-0.9, True)]
)
def test_an_object_has_left_when_it_fades_and_not_when_it_turns_dark(
    monkeypatch: pytest.MonkeyPatch, share: float, is_there: bool
) -> None:
    monkeypatch.setattr(memory_banks, "contrast_of", lambda *_: share * BRIGHT.contrast)
    pyramid: Any = None  # only its brightness would be read

    assert (presence_of(output(), BRIGHT, pyramid) > 0.5) == is_there


def test_what_fades_is_propagated_as_long_as_the_network_is_sure_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_banks, "contrast_of", lambda *_: 0.1 * BRIGHT.contrast)
    sure = replace(output(), presence=0.999)
    pyramid: Any = None  # only its brightness would be read

    assert presence_of(sure, BRIGHT, pyramid) > 0.5


@pytest.mark.parametrize(("trust", "is_there"), [(1.0, True), (0.7, False)])
def test_an_object_has_left_when_it_fits_badly_for_more_than_one_frame(
    trust: float, is_there: bool
) -> None:
    poor = replace(output(), score=0.4)
    pyramid: Any = None  # only the brightness of what stands out would be read

    found = presence_of(poor, replace(BRIGHT, contrast=0.0, trust=trust), pyramid)

    assert (found > 0.5) == is_there


def test_an_empty_mask_is_not_there() -> None:
    nothing = replace(output(), logits=np.full((56, 56), -5, np.float32))
    pyramid: Any = None  # nothing is read

    assert presence_of(nothing, BRIGHT, pyramid) == 0


def outlined(side: int) -> tuple[EmbeddedBackend, MemoryBank]:
    """A bright square on a dark ground, with the memory of the frame it was outlined on."""
    backend = EmbeddedBackend.load(device="cpu")
    mask = np.zeros((256, 256), bool)
    mask[100 : 100 + side, 90 : 90 + side] = True
    image = np.repeat(mask[..., None] * np.float32(0.8), 3, axis=2)
    return backend, backend.update_memory(None, backend.encode(image), Prediction.given(mask))


@pytest.mark.parametrize(
    ("side", "scales"), [(16, {2.0, 1.0}), (30, {2.0, 1.0, 0.5}), (60, {1.0, 0.5, 0.25})]
)
def test_the_first_frame_is_kept_on_the_scales_next_to_its_own(
    side: int, scales: set[float]
) -> None:
    _, memory = outlined(side)

    assert set(memory.first) == scales
    for scale, first in memory.first.items():
        assert first.coarse.shape == (1, 64, 28, 28)
        assert first.coarse.dtype == torch.float16  # a thousand objects are propagated at once
        assert float(first.mask.sum()) * 16 == pytest.approx((side * scale) ** 2, rel=0.02)


def test_an_object_is_compared_to_the_first_frame_on_the_scale_it_is_decoded_on() -> None:
    backend, memory = outlined(60)
    small = np.zeros((256, 256), bool)
    small[110:128, 100:118] = True
    image = np.repeat(small[..., None] * np.float32(0.8), 3, axis=2)

    later = backend.update_memory(memory, backend.encode(image), Prediction.given(small))

    assert later.first is memory.first
    assert memory_query(memory).first is memory.first[memory.crop.scale]
    assert memory_query(later).first is memory.first[max(memory.first)]
