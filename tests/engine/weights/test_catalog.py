"""Every kind of model has one record, true of its class; the catalogue suggests what suits."""

from __future__ import annotations

from pkgutil import resolve_name

import pytest

from napari_sam3.engine.backends.base import Backend
from napari_sam3.engine.weights.catalog import (
    BIOMED_CLIP,
    CATALOG,
    CLIPS,
    EDGETAM,
    EMBEDDED,
    GIGABYTE,
    KINDS,
    SAM2_BASE,
    SAM2_TINY,
    SAM3,
    CatalogModel,
    ModelKind,
    known_clip,
    known_model,
    models_with,
    recommended,
    wait_hint,
)

LOADED = [kind for kind in KINDS if kind.loader]
CONVERTED = [kind for kind in KINDS if kind.converter]
METHODS = {"points": "segment", "everything": "everything", "video": "propagate"}
"""What a class overrides that has an ability."""


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


def test_names_of_kinds_and_models_are_unique() -> None:
    names = [kind.name for kind in KINDS]
    ids = [model.id for kind in KINDS for model in kind.models]

    assert len(set(names)) == len(names)
    assert len(set(ids)) == len(ids)


def test_every_kind_is_loaded_converted_or_says_why_not() -> None:
    for kind in KINDS:
        assert [bool(kind.loader), bool(kind.converter), bool(kind.why_not_loaded)].count(True) == 1


@pytest.mark.parametrize("kind", LOADED, ids=lambda kind: kind.name)
def test_class_of_a_kind_can_do_what_its_record_says(kind: ModelKind) -> None:
    backend = resolve_name(kind.loader)

    assert issubclass(backend, Backend)
    assert backend.reads_text == ("text" in kind.abilities)
    assert backend.reads_exemplars == ("exemplars" in kind.abilities)
    for ability, method in METHODS.items():
        is_overridden = getattr(backend, method) is not getattr(Backend, method)
        assert is_overridden == (ability in kind.abilities)


@pytest.mark.parametrize("kind", CONVERTED, ids=lambda kind: kind.name)
def test_converter_of_a_kind_exists(kind: ModelKind) -> None:
    assert callable(resolve_name(kind.converter))


def test_models_are_named_by_what_they_can_do() -> None:
    assert models_with("text") == ["facebook/sam3"]
    assert models_with("exemplars") == ["embedded", "facebook/sam3"]
    assert "facebook/sam-vit-base" in models_with("points")
