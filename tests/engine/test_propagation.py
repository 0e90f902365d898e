from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine.errors import PromptError
from napari_sam3.engine.propagation import Plan, Step


def steps(prompted: set[tuple[int, int]], frames: range) -> list[Step]:
    return list(Plan.of(prompted, frames).steps())


def yielded(prompted: set[tuple[int, int]], frames: range) -> list[tuple[int, int]]:
    return [(step.frame, i) for step in steps(prompted, frames) for i in step.yields]


def test_one_prompted_frame_is_followed_forward_and_then_backward() -> None:
    assert steps({(2, 7)}, range(4)) == [
        Step(2, starts=(7,), follows=(), yields=(7,)),
        Step(3, starts=(), follows=(7,), yields=(7,)),
        Step(2, starts=(7,), follows=(), yields=()),
        Step(1, starts=(), follows=(7,), yields=(7,)),
        Step(0, starts=(), follows=(7,), yields=(7,)),
    ]


def test_objects_of_a_frame_share_its_step() -> None:
    shared = steps({(0, 1), (0, 2), (1, 3)}, range(2))[1]

    assert shared == Step(1, starts=(3,), follows=(1, 2), yields=(3, 1, 2))


@pytest.mark.parametrize(("second", "from_first"), [(10, [1, 2, 3, 4, 5]), (9, [1, 2, 3, 4])])
def test_frame_in_the_middle_is_reached_from_the_earlier_prompt(second, from_first) -> None:
    forward = [step for step in steps({(0, 1), (second, 1)}, range(second + 1)) if step.follows]

    ascending = [a.frame for a in forward if a.frame in from_first]
    descending = [a.frame for a in forward if a.frame not in from_first]
    assert ascending == from_first
    assert descending == list(range(second - 1, from_first[-1], -1))


def test_frames_outside_the_range_are_walked_through_but_not_yielded() -> None:
    walked = steps({(2, 1)}, range(4, 6))

    assert [step.frame for step in walked] == [2, 3, 4, 5]
    assert [step.yields for step in walked] == [(), (), (1,), (1,)]


def test_prompt_from_which_nothing_is_reached_is_left_out() -> None:
    assert {step.frame for step in steps({(0, 1), (9, 1)}, range(8, 10))} == {8, 9}


def test_range_may_have_gaps_and_run_downward() -> None:
    prompted = {(3, 1)}

    assert yielded(prompted, range(6, -1, -2)) == [(4, 1), (6, 1), (2, 1), (0, 1)]
    assert yielded(prompted, range(0, 7, 2)) == yielded(prompted, range(6, -1, -2))


def test_turning_tells_where_an_object_is_followed_backward() -> None:
    plan = Plan.of({(0, 1), (3, 1), (3, 2)}, range(5))

    assert plan.turning == {(3, 1), (3, 2)}


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
    asked = [(frame, i) for frame in frames for i in objects]
    assert sorted(yielded(prompted, frames)) == sorted(asked)
    for frame, i in asked:
        starts = sorted(f for f, j in prompted if j == i)
        assert nearest[frame, i] == min(starts, key=lambda start: abs(start - frame))


def test_no_prompts_are_refused() -> None:
    with pytest.raises(PromptError, match="click on an object first"):
        Plan.of(set(), range(3))


def test_empty_range_is_refused() -> None:
    with pytest.raises(PromptError, match="The range holds no frame"):
        Plan.of({(0, 1)}, range(3, 3))
