"""Undo and redo of prompts."""

from __future__ import annotations

from collections import deque

from .prompt_state import PromptState

LENGTH = 100


class PromptHistory:
    """The last states of the prompts and which of them is shown.

    Parameters
    ----------
    first : PromptState
        The state before anything was prompted.
    length : int
        How many steps can be undone.
    """

    def __init__(self, first: PromptState, length: int = LENGTH) -> None:
        self._past: deque[PromptState] = deque(maxlen=length)
        self._future: list[PromptState] = []
        self._shown = first

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier state."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether a state was undone and nothing has been prompted since."""
        return bool(self._future)

    def push(self, state: PromptState) -> None:
        """Take a new state; what was undone before is dropped."""
        self._past.append(self._shown)
        self._future.clear()
        self._shown = state

    def undo(self) -> PromptState:
        """Go back to the state before; the same one where there is none."""
        if self._past:
            self._future.append(self._shown)
            self._shown = self._past.pop()
        return self._shown

    def redo(self) -> PromptState:
        """Return to the state that was undone last; the same one where there is none."""
        if self._future:
            self._past.append(self._shown)
            self._shown = self._future.pop()
        return self._shown
