"""Ranking on frames that are too large to be looked at as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine.clip.clip import Clip
from napari_sam3.engine.clip.enhanced_phrases import EnhancedPhrases
from napari_sam3.engine.clip.frames import ranked_on_frame, suggested_on_frame
from napari_sam3.engine.clip.phrases import Phrase
from napari_sam3.engine.finding.concepts import Candidates
from napari_sam3.engine.images import frames as engine_frames
from napari_sam3.engine.images.contrast import Contrast
from napari_sam3.engine.images.frames import Frames
from napari_sam3.engine.images.picture import Picture
from tests.clips import ColourModel

SIDE = 2000
PLACES = [(100, 100), (100, 1500), (960, 960), (1980, 1980)]
RED = Phrase.parse("red")


@pytest.fixture
def picture() -> Picture:
    """Return a large frame with squares that are red and blue in turn."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for n, (row, col) in enumerate(PLACES):
        image[row : row + 20, col : col + 20, 2 * (n % 2)] = 255
    frames = Frames.from_array(image[None])
    return Picture(frames, Contrast.estimate(frames), 0)


@pytest.fixture
def candidates() -> Candidates:
    boxes = np.array([[row, col, row + 20, col + 20] for row, col in PLACES])
    masks = tuple(np.ones((20, 20), bool) for _ in PLACES)
    return Candidates((SIDE, SIDE), boxes, masks, np.full(len(PLACES), 0.7))


@pytest.fixture
def clip() -> Clip:
    return Clip(ColourModel(), EnhancedPhrases({}, ("{}",), ("background",)))


def test_a_large_frame_gives_the_scores_of_a_whole_one(picture, candidates, clip, monkeypatch):
    whole = ranked_on_frame(clip, picture, candidates, RED)
    monkeypatch.setattr(engine_frames, "LARGE", 1000 * 1000)

    tiled = ranked_on_frame(clip, picture, candidates, RED)

    np.testing.assert_allclose(tiled.scores, whole.scores, atol=1e-6)
    assert (tiled.scores > 0.6).tolist() == [True, False, True, False]
    assert tiled.boxes is candidates.boxes


def test_only_tiles_with_candidates_are_read(picture, candidates, clip, monkeypatch):
    monkeypatch.setattr(engine_frames, "LARGE", 1000 * 1000)
    read = []
    window_of = Frames.read_window
    monkeypatch.setattr(
        Frames, "read_window", lambda *args: (read.append(args[2]), window_of(*args))[1]
    )
    monkeypatch.setattr(Frames, "read", None)

    ranked_on_frame(clip, picture, candidates.taken([0, 3]), RED)

    assert len(read) == 2
    assert max(window.height for window in read) < SIDE


def test_a_candidate_larger_than_a_tile_is_seen_as_far_as_its_tile_goes(
    picture, candidates, clip, monkeypatch
):
    monkeypatch.setattr(engine_frames, "LARGE", 1000 * 1000)
    huge = Candidates(
        (SIDE, SIDE), np.array([[0, 0, SIDE, SIDE]]), (np.ones((SIDE, SIDE), bool),), np.ones(1)
    )

    ranked = ranked_on_frame(clip, picture, huge, RED)

    assert 0 < ranked.scores[0] < 1


def test_no_candidates_read_nothing(picture, candidates, clip, monkeypatch):
    monkeypatch.setattr(Frames, "read", None)

    assert len(ranked_on_frame(clip, picture, candidates.taken([]), RED)) == 0


def test_phrases_are_suggested_from_one_tile_of_a_large_frame(picture, candidates, monkeypatch):
    monkeypatch.setattr(engine_frames, "LARGE", 1000 * 1000)
    monkeypatch.setattr(Frames, "read", None)
    phrases = EnhancedPhrases({"red": ("red",), "blue": ("blue",)}, ("{}",), ("background",))
    clip = Clip(ColourModel(), phrases)

    suggested = suggested_on_frame(clip, picture, candidates, [1])

    assert suggested[0][0] == "blue"
    assert suggested_on_frame(clip, picture, candidates, []) == []
