"""The published models, and which of them suits a computer."""

from __future__ import annotations

import pytest

from napari_sam3.engine.backends.registry import (
    BIOMED_CLIP,
    EDGETAM,
    EMBEDDED,
    GIGABYTE,
    SAM2_BASE,
    SAM2_TINY,
    SAM3,
    CatalogModel,
)
from napari_sam3.engine.weights.catalog import (
    CATALOG,
    CLIPS,
    known_clip,
    known_model,
    recommended,
    wait_hint,
)


def test_models_are_known_by_their_names() -> None:
    assert known_model("facebook/sam3") is SAM3
    assert known_model("facebook/sam4") is None
    assert len({model.id for model in CATALOG}) == len(CATALOG)


def test_text_models_are_known_by_their_names() -> None:
    assert known_clip(BIOMED_CLIP.id) is BIOMED_CLIP
    assert known_clip("facebook/sam3") is None
    assert len({model.id for model in CLIPS}) == len(CLIPS) == 3


@pytest.mark.parametrize(
    ("device", "memory", "gpu", "model"),
    [
        ("cpu", 3, 0, EMBEDDED),
        ("cpu", 16, 0, EDGETAM),
        ("mps", 16, 0, SAM2_TINY),
        ("cuda", 16, 4, SAM2_BASE),
        ("cuda", 64, 24, SAM3),
    ],
)
def test_recommended_model_fits_the_computer(
    device: str, memory: int, gpu: int, model: CatalogModel
) -> None:
    suits = recommended(device, memory * GIGABYTE, gpu * GIGABYTE)

    assert suits.model is model
    assert model.title.lower() in suits.why.lower()
    assert suits.why.endswith(".")


def test_long_wait_is_announced() -> None:
    assert "takes about 30 s" in wait_hint("facebook/sam3", "cpu")


@pytest.mark.parametrize(
    ("name", "device"),
    [("embedded", "cpu"), ("facebook/sam3", "cuda"), ("/folder/of/mine", "cpu")],
)
def test_short_or_unknown_wait_is_not_announced(name: str, device: str) -> None:
    assert wait_hint(name, device) == ""
