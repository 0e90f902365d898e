"""Exemplars in a library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_sam3.engine import ExemplarLibrary
from tests.controller.colonies import CENTRES, SURE, Colony


@pytest.fixture
def colony(tmp_path: Path) -> Colony:
    """Disks, one of which is boxed, and one that is not meant."""
    made = Colony()
    made.controller.keeping.library = ExemplarLibrary(tmp_path / "library")
    made.draw_box(CENTRES[0])
    made.draw_box(CENTRES[1], "counterexample")
    return made


def test_exemplars_are_kept_with_their_signs_and_pictures(colony: Colony) -> None:
    colony.controller.keeping.keep("my disks")

    keeping = colony.controller.keeping
    kept = keeping.exemplars("my disks")
    assert keeping.names() == ["my disks"]
    assert [one.is_positive for one in kept] == [True, False]
    assert all(np.any(one.thumbnail) for one in kept)
    assert colony.messages == []


def test_kept_exemplars_find_on_another_image(colony: Colony, tmp_path: Path) -> None:
    colony.controller.keeping.keep("my disks")
    other = Colony()
    other.controller.keeping.library = ExemplarLibrary(tmp_path / "library")

    other.controller.keeping.use("my disks")

    assert other.shown() == list(range(SURE))
    assert other.layer().name == "my disks"
    assert [one.is_positive for one in other.backend.concepts[-1].shown] == [True, False]


def test_kept_exemplars_are_removed(colony: Colony) -> None:
    colony.controller.keeping.keep("my disks")

    colony.controller.keeping.remove("my disks")

    assert colony.controller.keeping.names() == []


def test_nothing_by_that_name_is_told(colony: Colony) -> None:
    colony.controller.keeping.use("others")

    assert len(colony.messages) == 1
    assert "There are no exemplars named 'others'" in colony.messages[0]


def test_nameless_exemplars_are_refused(colony: Colony) -> None:
    colony.controller.keeping.keep(" ")

    assert colony.messages == ["Give the exemplars a name, and draw at least one."]
