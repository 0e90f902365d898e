from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Budgets, Engine, Mask, Prompts, Session
from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.propagation import ABSENT_FRAMES, Plan, Step, propagated_mask
from napari_sam3.values.errors import PromptError
from napari_sam3.values.masks import named_hypotheses
from tests.backends import DiskBackend, disk_frames, ellipse
from tests.masks import mask_of


def steps(prompted: set[tuple[int, int]], frames: range) -> list[Step]:
    return list(Plan.of(prompted, frames).steps())


def yielded(prompted: set[tuple[int, int]], frames: range) -> list[tuple[int, int]]:
    return [(step.frame, i) for step in steps(prompted, frames) for i in step.yields]


def test_object_is_propagated_forward_and_then_backward() -> None:
    assert steps({(2, 7)}, range(4)) == [
        Step(2, starts=(7,), continues=(), yields=(7,)),
        Step(3, starts=(), continues=(7,), yields=(7,)),
        Step(2, starts=(7,), continues=(), yields=()),
        Step(1, starts=(), continues=(7,), yields=(7,)),
        Step(0, starts=(), continues=(7,), yields=(7,)),
    ]


def test_objects_of_a_frame_share_its_step() -> None:
    shared = steps({(0, 1), (0, 2), (1, 3)}, range(2))[1]

    assert shared == Step(1, starts=(3,), continues=(1, 2), yields=(3, 1, 2))


@pytest.mark.parametrize(("second", "from_first"), [(10, [1, 2, 3, 4, 5]), (9, [1, 2, 3, 4])])
def test_frame_in_the_middle_is_reached_from_the_earlier_prompt(second, from_first) -> None:
    forward = [step for step in steps({(0, 1), (second, 1)}, range(second + 1)) if step.continues]

    ascending = [step.frame for step in forward if step.frame in from_first]
    descending = [step.frame for step in forward if step.frame not in from_first]
    assert ascending == from_first
    assert descending == list(range(second - 1, from_first[-1], -1))


def test_frames_outside_the_range_are_passed_but_not_yielded() -> None:
    passed = steps({(2, 1)}, range(4, 6))

    assert [step.frame for step in passed] == [2, 3, 4, 5]
    assert [step.yields for step in passed] == [(), (), (1,), (1,)]


def test_prompt_from_which_nothing_is_reached_is_left_out() -> None:
    assert {step.frame for step in steps({(0, 1), (9, 1)}, range(8, 10))} == {8, 9}


def test_range_may_have_gaps_and_run_downward() -> None:
    prompted = {(3, 1)}

    assert yielded(prompted, range(6, -1, -2)) == [(4, 1), (6, 1), (2, 1), (0, 1)]
    assert yielded(prompted, range(0, 7, 2)) == yielded(prompted, range(6, -1, -2))


def test_reversals_are_where_an_object_is_propagated_backward() -> None:
    plan = Plan.of({(0, 1), (3, 1), (3, 2)}, range(5))

    assert plan.reversals == {(3, 1), (3, 2)}


@pytest.mark.parametrize("seed", range(20))
def test_every_object_is_yielded_once_on_every_frame_from_its_nearest_prompt(seed: int) -> None:
    random = np.random.default_rng(seed)
    prompted = {
        (int(f), int(i)) for f, i in random.integers(0, (30, 3), (random.integers(1, 9), 2))
    }
    frames = range(int(random.integers(0, 15)), int(random.integers(15, 30)))

    origin: dict[int, int] = {}
    nearest: dict[tuple[int, int], int] = {}
    for step in steps(prompted, frames):
        origin |= dict.fromkeys(step.starts, step.frame)
        nearest |= {(step.frame, i): origin[i] for i in step.yields}

    objects = {i for _, i in prompted}
    wanted = [(frame, i) for frame in frames for i in objects]
    assert sorted(yielded(prompted, frames)) == sorted(wanted)
    for frame, i in wanted:
        starts = sorted(f for f, j in prompted if j == i)
        assert nearest[frame, i] == min(starts, key=lambda start: abs(start - frame))


def test_no_prompts_are_refused() -> None:
    with pytest.raises(PromptError, match="click on an object first"):
        Plan.of(set(), range(3))


def test_empty_range_is_refused() -> None:
    with pytest.raises(PromptError, match="The range holds no frame"):
        Plan.of({(0, 1)}, range(3, 3))


GONE = (-99, -99)


def click(row: float, col: float) -> Prompts:
    return Prompts(points=[(row, col)])


def moving_disk(count: int) -> np.ndarray:
    return disk_frames([(30, 10 + 4 * index) for index in range(count)])


def by_frame(masks: list[Mask]) -> dict[int, Mask]:
    return {mask.frame: mask for mask in masks}


def test_moving_object_is_propagated_both_ways(engine: Engine) -> None:
    movie = moving_disk(10)

    masks = by_frame(list(engine.open(movie).propagate({(5, 1): click(30, 30)})))

    assert sorted(masks) == list(range(10))
    for frame in set(masks) - {5}:
        np.testing.assert_array_equal(masks[frame].pixels, movie[frame] > 100)


def test_objects_of_a_frame_are_propagated_in_one_batch(
    backend: DiskBackend, engine: Engine
) -> None:
    movie = moving_disk(6) | moving_disk(6)[:, ::-1]
    prompted = {(0, 1): click(30, 10), (0, 2): click(33, 10)}

    list(engine.open(movie).propagate(prompted))

    assert (backend.segmented, backend.propagated) == (1, 5)


def test_given_mask_is_taken_as_it_is_without_the_model(
    backend: DiskBackend, engine: Engine
) -> None:
    drawn = ellipse((64, 64), (30, 11), (3, 9))

    first = next(engine.open(moving_disk(3)).propagate({(0, 4): mask_of(drawn, object_id=4)}))

    np.testing.assert_array_equal(first.pixels, drawn)
    assert (first.object_id, first.score, backend.segmented) == (4, 1.0, 0)


def test_object_that_returns_at_once_is_propagated_further(engine: Engine) -> None:
    centres = [(30, 10), (30, 12), GONE, (30, 16), (30, 18)]

    masks = by_frame(list(engine.open(disk_frames(centres)).propagate({(0, 1): click(30, 10)})))

    assert [masks[frame].area > 0 for frame in range(5)] == [True, True, False, True, True]


def test_propagation_ends_after_absences_and_the_rest_is_empty(
    backend: DiskBackend, engine: Engine
) -> None:
    centres = [(30, 10)] * 3 + [GONE] * ABSENT_FRAMES + [(30, 10)] * 5
    session = engine.open(disk_frames(centres))

    masks = by_frame(list(session.propagate({(0, 1): click(30, 10)})))

    assert [masks[frame].area > 0 for frame in range(10)] == [True] * 3 + [False] * 7
    assert [masks[frame].score for frame in range(5, 10)] == [0] * 5
    assert backend.encoded == backend.propagated + 1 == 3 + ABSENT_FRAMES


def test_end_in_one_direction_leaves_the_other_alone(engine: Engine) -> None:
    centres = [(30, 10)] * 4 + [GONE] * 4

    masks = by_frame(list(engine.open(disk_frames(centres)).propagate({(3, 1): click(30, 10)})))

    assert [masks[frame].area > 0 for frame in range(8)] == [True] * 4 + [False] * 4


def test_empty_mask_ends_an_object(backend: DiskBackend, engine: Engine) -> None:
    nothing = np.zeros((64, 64), bool)
    prompted = {(0, 1): click(30, 10), (3, 1): mask_of(nothing, frame=3)}

    masks = by_frame(list(engine.open(moving_disk(6)).propagate(prompted)))

    assert [masks[frame].area > 0 for frame in range(6)] == [True, True, False, False, False, False]


def test_low_presence_lowers_the_score() -> None:
    sure, unsure = (
        Prediction(named_hypotheses([mask_of(np.ones((9, 9), bool), 0.8)]), presence)
        for presence in (1.0, 0.5)
    )

    assert propagated_mask(3, 1, sure).score == 0.8
    assert propagated_mask(3, 1, unsure).score == 0.4


def test_empty_mask_has_no_score() -> None:
    prediction = Prediction(named_hypotheses([mask_of(np.zeros((9, 9), bool), 0.8)]))

    assert propagated_mask(3, 1, prediction).score == 0


def test_each_frame_is_encoded_once_without_any_cache(backend: DiskBackend) -> None:
    session = Engine(backend, Budgets(0)).open(moving_disk(10))

    list(session.propagate({(5, 1): click(30, 30)}))

    assert backend.encoded == 10


def test_propagated_masks_are_read_only(engine: Engine) -> None:
    session: Session = engine.open(moving_disk(3))

    for mask in session.propagate({(0, 1): click(30, 10)}):
        with pytest.raises(ValueError, match="read-only"):
            mask.pixels[0, 0] = True
