"""The part of a frame that a model looks at as one picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a frame, seen at one of its levels.

    Level 0 is the frame itself; every further one has half the rows and columns, rounded up.
    """

    level: int
    top: int  # first row, in pixels of the level
    left: int  # first column
    height: int  # rows
    width: int  # columns
