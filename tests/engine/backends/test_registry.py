"""Every kind of model has one record, and the record tells what its class can do."""

from __future__ import annotations

from pkgutil import resolve_name

import pytest

from napari_sam3.engine.backends.base import Backend
from napari_sam3.engine.backends.registry import KINDS, ModelKind, models_with

LOADED = [kind for kind in KINDS if kind.loader]
CONVERTED = [kind for kind in KINDS if kind.converter]
IMPLEMENTING = {
    "points": "segment",
    "everything": "everything",
    "video": "propagate",
}


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
    for ability, method in IMPLEMENTING.items():
        is_overridden = getattr(backend, method) is not getattr(Backend, method)
        assert is_overridden == (ability in kind.abilities)


@pytest.mark.parametrize("kind", CONVERTED, ids=lambda kind: kind.name)
def test_converter_of_a_kind_exists(kind: ModelKind) -> None:
    assert callable(resolve_name(kind.converter))


def test_models_are_named_by_what_they_can_do() -> None:
    assert models_with("text") == ["facebook/sam3"]
    assert models_with("exemplars") == ["embedded", "facebook/sam3"]
    assert "facebook/sam-vit-base" in models_with("points")
