from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Budgets, Engine, ObjectMask, Prompts, Session
from napari_sam3.engine.backend import Answer
from napari_sam3.engine.masks import named_readings
from napari_sam3.engine.walking import ABSENT_FRAMES, followed_mask
from tests.backends import DiskBackend, disk_frames, ellipse

GONE = (-99, -99)


def click(row: float, col: float) -> Prompts:
    return Prompts(points=[(row, col)])


def moving_disk(count: int) -> np.ndarray:
    return disk_frames([(30, 10 + 4 * index) for index in range(count)])


def by_frame(masks: list[ObjectMask]) -> dict[int, ObjectMask]:
    return {mask.frame: mask for mask in masks}


def test_moving_object_is_followed_both_ways(engine: Engine) -> None:
    movie = moving_disk(10)

    masks = by_frame(list(engine.open(movie).propagate({(5, 1): click(30, 30)})))

    assert sorted(masks) == list(range(10))
    for frame in set(masks) - {5}:
        np.testing.assert_array_equal(masks[frame].pixels, movie[frame] > 100)


def test_objects_of_a_frame_are_followed_in_one_pass(backend: DiskBackend, engine: Engine) -> None:
    movie = moving_disk(6) | moving_disk(6)[:, ::-1]
    prompted = {(0, 1): click(30, 10), (0, 2): click(33, 10)}

    list(engine.open(movie).propagate(prompted))

    assert (backend.segmented, backend.followed) == (1, 5)


def test_given_mask_is_taken_as_it_is_and_asks_the_model_nothing(
    backend: DiskBackend, engine: Engine
) -> None:
    drawn = ellipse((64, 64), (30, 11), (3, 9))

    first = next(engine.open(moving_disk(3)).propagate({(0, 4): ObjectMask(0, 4, drawn, 1.0)}))

    np.testing.assert_array_equal(first.pixels, drawn)
    assert (first.object_id, first.score, backend.segmented) == (4, 1.0, 0)


def test_object_that_returns_at_once_is_followed_on(engine: Engine) -> None:
    centres = [(30, 10), (30, 12), GONE, (30, 16), (30, 18)]

    masks = by_frame(list(engine.open(disk_frames(centres)).propagate({(0, 1): click(30, 10)})))

    assert [masks[frame].area > 0 for frame in range(5)] == [True, True, False, True, True]


def test_walk_ends_after_absences_and_the_rest_is_empty(
    backend: DiskBackend, engine: Engine
) -> None:
    centres = [(30, 10)] * 3 + [GONE] * ABSENT_FRAMES + [(30, 10)] * 5
    session = engine.open(disk_frames(centres))

    masks = by_frame(list(session.propagate({(0, 1): click(30, 10)})))

    assert [masks[frame].area > 0 for frame in range(10)] == [True] * 3 + [False] * 7
    assert [masks[frame].score for frame in range(5, 10)] == [0] * 5
    assert backend.encoded == backend.followed + 1 == 3 + ABSENT_FRAMES


def test_end_in_one_direction_leaves_the_other_alone(engine: Engine) -> None:
    centres = [(30, 10)] * 4 + [GONE] * 4

    masks = by_frame(list(engine.open(disk_frames(centres)).propagate({(3, 1): click(30, 10)})))

    assert [masks[frame].area > 0 for frame in range(8)] == [True] * 4 + [False] * 4


def test_empty_mask_ends_an_object(backend: DiskBackend, engine: Engine) -> None:
    nothing = np.zeros((64, 64), bool)
    prompted = {(0, 1): click(30, 10), (3, 1): ObjectMask(3, 1, nothing, 1.0)}

    masks = by_frame(list(engine.open(moving_disk(6)).propagate(prompted)))

    assert [masks[frame].area > 0 for frame in range(6)] == [True, True, False, False, False, False]


def test_doubt_about_the_presence_lowers_the_score() -> None:
    sure, unsure = (
        Answer(named_readings([np.ones((9, 9), bool)], [0.8]), presence) for presence in (1.0, 0.5)
    )

    assert followed_mask(3, 1, sure).score == 0.8
    assert followed_mask(3, 1, unsure).score == 0.4


def test_empty_mask_has_no_score() -> None:
    answer = Answer(named_readings([np.zeros((9, 9), bool)], [0.8]))

    assert followed_mask(3, 1, answer).score == 0


def test_each_frame_is_embedded_once_without_any_cache(backend: DiskBackend) -> None:
    session = Engine(backend, Budgets(0)).open(moving_disk(10))

    list(session.propagate({(5, 1): click(30, 30)}))

    assert backend.encoded == 10


def test_followed_masks_are_read_only(engine: Engine) -> None:
    session: Session = engine.open(moving_disk(3))

    for mask in session.propagate({(0, 1): click(30, 10)}):
        with pytest.raises(ValueError, match="read-only"):
            mask.pixels[0, 0] = True
