"""Undo and redo of prompts, and of objects that were made without one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ..layers import PromptSnapshot
from ..values import FrameIndex, Key

LENGTH = 100


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    state: PromptSnapshot
    made: frozenset[Key[FrameIndex]] = frozenset()  # objects that came with it


class PromptHistory:
    """The last states of the prompts and which of them is shown.

    Parameters
    ----------
    first : PromptState
        The state before anything was prompted.
    length : int
        How many steps can be undone.
    """

    def __init__(self, first: PromptSnapshot, length: int = LENGTH) -> None:
        self._past: deque[_Step] = deque(maxlen=length)
        self._future: list[_Step] = []
        self._shown = _Step(first)

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier state."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether a state was undone and nothing has been prompted since."""
        return bool(self._future)

    @property
    def made(self) -> frozenset[Key[FrameIndex]]:
        """Objects that were made without a prompt in the step that is undone next."""
        return self._shown.made

    def push(self, state: PromptSnapshot, made: frozenset[Key[FrameIndex]] = frozenset()) -> None:
        """Take a new state; what was undone before is dropped."""
        self._past.append(self._shown)
        self._future.clear()
        self._shown = _Step(state, made)

    def forget_undone(self) -> None:
        """Let nothing be redone."""
        self._future.clear()

    def undo(self) -> PromptSnapshot:
        """Go back to the state before; the same one where there is none."""
        if self._past:
            self._future.append(self._shown)
            self._shown = self._past.pop()
        return self._shown.state

    def redo(self) -> PromptSnapshot:
        """Return to the state that was undone last; the same one where there is none."""
        if self._future:
            self._past.append(self._shown)
            self._shown = self._future.pop()
        return self._shown.state
