from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.controller.history import PromptHistory
from napari_sam3.layers.prompt_state import PromptSnapshot


def state(*positions: tuple[float, float]) -> PromptSnapshot:
    count = len(positions)
    points = np.array(positions, float).reshape(count, 2)
    return PromptSnapshot((20, 20), points, np.ones(count, int), np.ones(count, bool), ())


@pytest.fixture
def states() -> list[PromptSnapshot]:
    return [state(), state((1, 1)), state((1, 1), (2, 2)), state((3, 3))]


def test_undo_goes_back_step_by_step(states: list[PromptSnapshot]) -> None:
    history = PromptHistory(states[0])
    for one in states[1:3]:
        history.push(one)

    assert history.undo() is states[1]
    assert history.undo() is states[0]
    assert not history.can_undo


def test_redo_returns_to_what_was_undone(states: list[PromptSnapshot]) -> None:
    history = PromptHistory(states[0])
    history.push(states[1])
    history.undo()

    assert history.redo() is states[1]
    assert not history.can_redo


def test_a_new_prompt_drops_what_was_undone(states: list[PromptSnapshot]) -> None:
    history = PromptHistory(states[0])
    history.push(states[1])
    history.undo()

    history.push(states[3])

    assert not history.can_redo
    assert history.undo() is states[0]


def test_with_nothing_to_undo_the_state_stays(states: list[PromptSnapshot]) -> None:
    history = PromptHistory(states[0])

    assert history.undo() is states[0]
    assert history.redo() is states[0]


def test_the_history_is_bounded(states: list[PromptSnapshot]) -> None:
    history = PromptHistory(states[0], length=2)
    for one in states[1:]:
        history.push(one)

    history.undo()

    assert history.undo() is states[1]
    assert not history.can_undo
