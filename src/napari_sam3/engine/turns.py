"""Whose turn it is at a model: clicks go before propagations."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from threading import Condition
from types import TracebackType


class Turns:
    """One place that one thread holds at a time.

    A turn is never held across a ``yield`` of masks: a propagation takes one for every frame, and
    whoever waits for a click goes before it.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken: Turn | None = None
        self._clicks: list[Turn] = []  # that wait

    def interactive(self) -> Turn:
        """Return a turn for somebody who waits for the answer."""
        return Turn(self, True)

    def background(self) -> Turn:
        """Return a turn that is taken when nobody waits for a click."""
        return Turn(self, False)

    @property
    def pictures(self) -> frozenset[Hashable]:
        """Keys of what is looked at in the turn under way."""
        taken = self._taken
        return frozenset() if taken is None else taken.pictures

    @property
    def is_in_the_way(self) -> bool:
        """Whether the turn under way is a background one, and a click waits for another picture."""
        with self._changed:
            taken = self._taken
            if taken is None or taken.is_interactive:
                return False
            return not all(click.is_served_by(taken) for click in self._clicks)

    def take(self, turn: Turn) -> None:
        """Wait until the place is free for this turn, and take it."""
        with self._changed:
            if not turn.is_interactive:
                self._changed.wait_for(lambda: self._taken is None and not self._clicks)
                self._taken = turn
                return
            self._clicks.append(turn)
            try:
                self._changed.wait_for(lambda: self._taken is None)
                self._taken = turn
            finally:
                self._clicks.remove(turn)

    def leave(self) -> None:
        """Free the place."""
        with self._changed:
            self._taken = None
            self._changed.notify_all()


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A turn that lasts as long as a ``with``, and may be taken again after it."""

    turns: Turns
    is_interactive: bool  # whether somebody waits for the answer
    pictures: frozenset[Hashable] = frozenset()  # keys of what is looked at in it

    def about(self, *pictures: Hashable) -> Turn:
        """Return the same turn, for looking at pictures of these keys."""
        return replace(self, pictures=frozenset(pictures))

    def is_served_by(self, other: Turn) -> bool:
        """Whether the other turn looks at all that this one waits for."""
        return bool(self.pictures) and self.pictures <= other.pictures

    def __enter__(self) -> None:
        self.turns.take(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.turns.leave()
