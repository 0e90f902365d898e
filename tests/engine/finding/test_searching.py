from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from napari_sam3.engine import Candidates, Engine, Frames, PromptError, Session
from napari_sam3.engine.finding import searching
from napari_sam3.engine.finding.concepts import Concept
from napari_sam3.engine.finding.searching import SMALLEST, parts_of, window_on
from napari_sam3.engine.images.windows import Window
from tests.backends import DiskBackend, DiskEmbedding, ellipse

SIDE, STEP = 600, 30
SIDES = [(100, 400), (300, 210), (211, 211)]


@dataclass
class FewQueries(DiskBackend):
    """Names a limited number of the objects of a picture, and says when these were all it could."""

    most: int = 50
    reads_text: bool = True
    reads_exemplars: bool = True

    def find(self, embedding: DiskEmbedding, concept: Concept) -> Candidates:
        every = super().find(embedding, concept)
        if len(every) <= self.most:
            return every
        chosen = np.random.default_rng(len(every)).permutation(len(every))[: self.most]
        return replace(every.taken(chosen), is_saturated=True)


def crowd(side: int = SIDE) -> np.ndarray:
    """Draw small cells on a grid."""
    rows, cols = np.indices((side, side))
    return ((rows % STEP - 15) ** 2 + (cols % STEP - 15) ** 2 < 60).astype(np.uint8) * 200


@pytest.fixture
def backend() -> FewQueries:
    return FewQueries()


@pytest.fixture
def session(backend: FewQueries) -> Session:
    return Engine(backend).open(crowd())


def middles(found: Candidates) -> set[tuple[int, int]]:
    centres = (found.boxes[:, :2] + found.boxes[:, 2:] - 1) / 2
    return {(round(row), round(col)) for row, col in centres.tolist()}


def test_a_frame_with_too_many_objects_is_split_until_all_are_found(session):
    found = session.find(0, text="cell")

    assert len(found) == (SIDE // STEP) ** 2
    assert middles(found) == {
        (row, col) for row in range(15, SIDE, STEP) for col in range(15, SIDE, STEP)
    }
    assert not found.is_saturated
    assert (np.diff(found.scores) <= 0).all()
    assert found.windows_looked_at == 16


def test_a_frame_with_few_objects_is_looked_at_once(session, backend):
    backend.most = 1000

    found = session.find(0, text="cell")

    assert len(found) == (SIDE // STEP) ** 2
    assert found.windows_looked_at == 1
    assert backend.encoded == 1


def test_only_a_region_is_split(session, backend):
    found = session.find(0, text="cell", region=(0, 0, 149, 299))

    assert len(found) == 5 * 10
    assert backend.encoded < 7
    assert max(max(shape) for shape in backend.images[1:]) < SIDE / 1.5


def test_windows_do_not_become_too_small(session, backend):
    backend.most = 1

    found = session.find(0, text="cell")

    assert found.is_saturated
    assert min(min(shape[:2]) for shape in backend.images) >= SMALLEST


def test_a_frame_too_small_to_be_split_keeps_what_was_found(backend):
    backend.most = 3

    found = Engine(backend).open(crowd(120)).find(0, text="cell")

    assert found.is_saturated
    assert len(found) == 3


def test_boxes_are_shown_where_they_are_seen_and_exemplars_elsewhere(session, backend):
    box = (4, 4, 26, 26)

    session.find(0, exemplars=[box], negatives=[(574, 574, 596, 596)])

    whole, *parts = backend.found
    assert whole.boxes == [box, (574, 574, 596, 596)]
    assert [len(part.boxes) + len(part.shown) for part in parts] == [2] * len(parts)
    assert parts[0].boxes == [box]
    assert all(one.appearance["grey"].shape == (22, 22) for part in parts for one in part.shown)


def test_a_box_is_moved_into_its_window(session, backend):
    session.find(0, exemplars=[(574, 574, 596, 596)])

    last = backend.found[-1]
    window = backend.images[-1]
    assert last.boxes == [(window[0] - 26, window[1] - 26, window[0] - 4, window[1] - 4)]


def test_parts_cover_a_window_and_overlap():
    window = Window(0, 100, 50, 300, 401)

    seen = np.zeros((500, 500), int)
    for part in parts_of(window):
        top, left, bottom, right = part.box((500, 500))
        seen[top:bottom, left:right] += 1

    assert (seen[100:400, 50:451] >= 1).all()
    assert seen.sum() == seen[100:400, 50:451].sum()
    assert (seen[220:280, 240:260] == 4).all()


def test_only_sides_that_are_long_enough_are_split():
    shapes = [[part.shape for part in parts_of(Window(0, 0, 0, *sides))] for sides in SIDES]

    assert shapes == [[(100, 240)] * 2, [(180, 210)] * 2, []]


@pytest.mark.parametrize("region", [(10, 20, 300, 320), (300, 320, 10, 20), (0, 0, 5, 5)])
def test_a_region_is_seen_with_its_surroundings(region):
    window = window_on(region, (400, 400))

    top, left, bottom, right = window.box((400, 400))
    assert top <= min(region[0], region[2])
    assert left <= min(region[1], region[3])
    assert bottom > max(region[0], region[2])
    assert right > max(region[1], region[3])
    assert bottom <= 400


@pytest.fixture
def large(backend: FewQueries) -> Session:
    backend.most = 10**6
    pixels = np.zeros((2400, 2400), np.uint8)
    for place in [(40, 40), (1000, 1010), (1700, 400), (2350, 2350)]:
        pixels[ellipse(pixels.shape, place, (12, 12))] = 200
    return Engine(backend).open(Frames.from_array(pixels))


def test_a_large_frame_is_searched_tile_by_tile(large, backend, monkeypatch):
    found = large.everything(0)

    assert middles(found) == {(40, 40), (1000, 1010), (1700, 400), (2350, 2350)}
    assert found.shape == (2400, 2400)
    assert found.windows_looked_at == backend.encoded > 4
    assert max(max(shape) for shape in backend.images) <= 1024


def test_a_region_of_a_large_frame_needs_few_tiles(large, backend):
    found = large.everything(0, region=(980, 990, 1020, 1030))

    assert middles(found) == {(1000, 1010)}
    assert backend.encoded == 1


def test_an_exemplar_on_a_large_frame_is_shown_to_all_tiles(large, backend):
    box = (1688, 388, 1712, 412)

    large.find(0, exemplars=[box])

    shown = [part.shown for part in backend.found if part.shown]
    boxes = [part.boxes for part in backend.found if part.boxes]
    assert len(shown) + len(boxes) == len(backend.found)
    assert all(one.appearance["grey"].shape == (24, 24) for part in shown for one in part)
    assert all(side <= 1024 for part in boxes for side in part[0])


def test_an_exemplar_that_no_tile_shows_is_refused(large):
    with pytest.raises(PromptError, match="at most 896 pixels"):
        large.exemplar(0, (100, 100, 2000, 300))


def test_everything_splits_where_a_model_says_that_it_is_full(session, monkeypatch):
    def full(backend: FewQueries, seen: DiskEmbedding) -> Candidates:
        return replace(DiskBackend.everything(backend, seen), is_saturated=True)

    monkeypatch.setattr(FewQueries, "everything", full)
    monkeypatch.setattr(searching, "SMALLEST", 300)

    found = session.everything(0)

    assert len(found) == (SIDE // STEP) ** 2
    assert found.windows_looked_at == 4
