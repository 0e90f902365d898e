from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from napari_sam3.controller.history import (
    ChangeLayout,
    ChangePrompts,
    History,
    PickHypothesis,
    Promote,
)
from napari_sam3.layers.prompt_layers import PromptSnapshot
from napari_sam3.values import FrameIndex, Key, Prompts

LAYOUT = ChangeLayout("layer per object", "one layer")


def snapshot(*positions: tuple[float, float]) -> PromptSnapshot:
    count = len(positions)
    points = np.array(positions, float).reshape(count, 2)
    return PromptSnapshot((20, 20), points, np.ones(count, int), np.ones(count, bool), ())


SNAPSHOTS = [snapshot(), snapshot((1, 1)), snapshot((1, 1), (2, 2)), snapshot((3, 3))]


class Target:
    """Prompts and promoted objects, as acts are undone on them."""

    def __init__(self) -> None:
        self.shown = SNAPSHOTS[0]
        self.demoted: list[Key[FrameIndex]] = []
        self.promoted: set[Key[FrameIndex]] = set()

    def restore_prompts(self, snapshot: PromptSnapshot) -> bool:
        before, self.shown = self.shown, snapshot
        return before is not snapshot

    def demote(self, keys: Iterable[Key[FrameIndex]]) -> bool:
        demoted = self.promoted.intersection(keys)
        self.demoted += demoted
        return bool(demoted)


@pytest.fixture
def target() -> Target:
    return Target()


def prompt(history: History, target: Target, index: int) -> None:
    """Let the prompts be those of another snapshot."""
    history.push(ChangePrompts(target.shown, SNAPSHOTS[index]))
    target.shown = SNAPSHOTS[index]


def test_undo_goes_back_step_by_step(target: Target) -> None:
    history = History()
    prompt(history, target, 1)
    prompt(history, target, 2)

    history.undo(target)
    assert target.shown is SNAPSHOTS[1]
    history.undo(target)

    assert target.shown is SNAPSHOTS[0]
    assert not history.can_undo


def test_redo_returns_to_what_was_undone(target: Target) -> None:
    history = History()
    prompt(history, target, 1)
    history.undo(target)

    history.redo(target)

    assert target.shown is SNAPSHOTS[1]
    assert not history.can_redo


def test_a_new_prompt_drops_what_was_undone(target: Target) -> None:
    history = History()
    prompt(history, target, 1)
    history.undo(target)

    prompt(history, target, 3)

    assert not history.can_redo
    history.undo(target)
    assert target.shown is SNAPSHOTS[0]


def test_with_nothing_to_undo_the_prompts_stay(target: Target) -> None:
    history = History()

    assert not history.undo(target)
    assert not history.redo(target)
    assert target.shown is SNAPSHOTS[0]


def test_the_history_is_bounded(target: Target) -> None:
    history = History(length=2)
    for index in (1, 2, 3):
        prompt(history, target, index)

    history.undo(target)
    history.undo(target)

    assert target.shown is SNAPSHOTS[1]
    assert not history.can_undo


def test_undoing_an_act_without_effect_undoes_the_one_before(target: Target) -> None:
    history = History()
    prompt(history, target, 1)
    history.push(Promote(frozenset({((), 1)})))

    history.undo(target)

    assert target.shown is SNAPSHOTS[0]
    assert target.demoted == []


def test_a_demoted_object_is_not_promoted_again_by_redo(target: Target) -> None:
    history = History()
    target.promoted = {((), 1)}
    history.push(Promote(frozenset({((), 1)})))

    history.undo(target)

    assert target.demoted == [((), 1)]
    assert not history.can_redo


def test_acts_that_are_not_undone_stay_in_their_order(target: Target) -> None:
    history = History(length=2)
    prompt(history, target, 1)
    for _ in range(3):
        history.push(LAYOUT)

    assert [type(act) for act in history.acts] == [ChangePrompts, ChangeLayout, ChangeLayout]
    history.undo(target)

    assert target.shown is SNAPSHOTS[0]
    assert history.acts == (LAYOUT, LAYOUT)


def test_the_hypothesis_picked_last_belongs_to_the_very_same_prompts() -> None:
    history, key = History(), ((), 1)
    history.push(PickHypothesis(key, Prompts([(1, 1)]), "part"))
    history.push(PickHypothesis(key, Prompts([(1, 1)]), "whole"))

    assert history.picked_hypothesis(key, Prompts([(1, 1)])) == "whole"
    assert history.picked_hypothesis(key, Prompts([(1, 2)])) is None
    history.forget_hypotheses(key)
    assert history.picked_hypothesis(key, Prompts([(1, 1)])) is None
