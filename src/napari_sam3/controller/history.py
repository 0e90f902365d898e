"""The acts of a user on one image, and how each is undone and redone.

Undo covers prompts and promoted candidates. All acts are recorded, so that the order is known in
which they happened; what those that are not undone here changed stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ..engine import Selection
from ..layers import Layout, PromptSnapshot, StackAxes
from ..values import FrameIndex, Key, Prompts

LENGTH = 100
"""Acts that can be undone."""


@dataclass(frozen=True, slots=True, eq=False)
class ChangePrompts:
    """Points or outlines were added, moved or deleted."""

    before: PromptSnapshot
    after: PromptSnapshot


@dataclass(frozen=True, slots=True, eq=False)
class Promote:
    """Candidates became objects."""

    keys: frozenset[Key[FrameIndex]]  # each object, on the frame of its candidate


@dataclass(frozen=True, slots=True, eq=False)
class PickHypothesis:
    """Another mask hypothesis of the same prompts was picked."""

    key: Key[FrameIndex]
    prompts: Prompts
    name: str  # of the hypothesis


@dataclass(frozen=True, slots=True, eq=False)
class PickCandidate:
    """A candidate was kept or rejected by a click."""

    concept_id: int
    frame_index: FrameIndex
    before: Selection
    after: Selection


@dataclass(frozen=True, slots=True, eq=False)
class Propagate:
    """Objects were propagated through a stack."""

    object_ids: frozenset[int]
    axes: StackAxes  # which frames of the layer make the stack
    frames: range


@dataclass(frozen=True, slots=True, eq=False)
class RemoveObjects:
    """Objects were removed with their prompts and masks."""

    object_ids: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class ChangeLayout:
    """Masks moved to one layer for all objects, or to a layer for each."""

    before: Layout
    after: Layout


@dataclass(frozen=True, slots=True, eq=False)
class Paint:
    """Pixels were painted or erased by hand; napari undoes that in the layer itself."""

    label: int  # that was painted; 0 erases


Undoable = ChangePrompts | Promote
Act = Undoable | PickHypothesis | PickCandidate | Propagate | RemoveObjects | ChangeLayout | Paint


class Undoing(Protocol):
    """Where acts are undone and redone."""

    def restore_prompts(self, snapshot: PromptSnapshot) -> bool:
        """Replace the prompts of objects still there; return whether they were others."""

    def demote(self, keys: Iterable[Key[FrameIndex]]) -> bool:
        """Let objects be candidates again if they are as promoted; return whether any was."""


class History:
    """The acts on one image, the last one last.

    Parameters
    ----------
    length : int
        How many acts can be undone.
    """

    def __init__(self, length: int = LENGTH) -> None:
        self._length = length
        self._past: list[Act] = []
        self._future: list[Act] = []
        self._hypotheses: dict[Key[FrameIndex], list[PickHypothesis]] = {}

    @property
    def can_undo(self) -> bool:
        """Whether there is an act to undo."""
        return any(isinstance(act, Undoable) for act in self._past)

    @property
    def can_redo(self) -> bool:
        """Whether an act was undone and no other one followed."""
        return bool(self._future)

    @property
    def acts(self) -> tuple[Act, ...]:
        """All acts that were not undone, as far as they are kept."""
        return tuple(self._past)

    def push(self, act: Act) -> None:
        """Record an act; one that can be undone drops those that were undone before."""
        self._past.append(act)
        if isinstance(act, Undoable):
            self._future.clear()
        if isinstance(act, PickHypothesis):
            self._hypotheses.setdefault(act.key, []).append(act)
        if len(self._past) > self._length:
            self._drop_oldest()

    def undo(self, target: Undoing) -> bool:
        """Undo the last act whose undoing has an effect; return whether there was one."""
        while (act := self._pop_undoable()) is not None:
            self._future.append(act)
            match act:
                case ChangePrompts():
                    if target.restore_prompts(act.before):
                        return True
                case Promote():
                    if target.demote(act.keys):
                        self._future.clear()  # the objects are gone
                        return True
        return False

    def redo(self, target: Undoing) -> bool:
        """Redo the last undone act that has an effect; return whether there was one."""
        while self._future:
            act = self._future.pop()
            self._past.append(act)
            if isinstance(act, ChangePrompts) and target.restore_prompts(act.after):
                return True
        return False

    def picked_hypothesis(self, key: Key[FrameIndex], prompts: Prompts) -> str | None:
        """Return the hypothesis that was picked last for the very same prompts."""
        for act in reversed(self._hypotheses.get(key, [])):
            if act.prompts.extends(prompts) and prompts.extends(act.prompts):
                return act.name
        return None

    def forget_hypotheses(self, key: Key[FrameIndex]) -> None:
        """Forget which hypotheses were picked, as all prompts of the object are gone."""
        self._hypotheses.pop(key, None)

    def _pop_undoable(self) -> Undoable | None:
        for index in reversed(range(len(self._past))):
            act = self._past[index]
            if isinstance(act, Undoable):
                del self._past[index]
                return act
        return None

    def _drop_oldest(self) -> None:
        """Keep as many acts that can be undone as the length says, and as many besides."""
        for is_undoable in (True, False):
            acts = [act for act in self._past if isinstance(act, Undoable) == is_undoable]
            if len(acts) > self._length:
                self._past.remove(acts[0])
