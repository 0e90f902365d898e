"""What is remembered of an object that is followed, always of the same size."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """An object on one frame."""

    tokens: Tensor  # (L, M) where it is on the image, and how it looks
    pointer: Tensor  # (C,) which object it is

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.tokens.nbytes + self.pointer.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """How much a track holds beside the memory it started with."""

    frames: int  # memories of the last frames
    pointers: int  # pointers of the last frames


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """An object from the frame where it was given to the one where it was seen last.

    Frames count in the order in which they were visited, so backward is as forward. A frame
    without the object is no step: nothing is remembered of it.
    """

    first: Memory  # where the object was given
    span: Span
    steps: int = 0  # from there to the last frame
    frames: tuple[Tensor, ...] = ()  # tokens (L, M) of the last frames, newest first
    pointers: tuple[Tensor, ...] = ()  # pointers (C,) of the last frames, newest first

    @property
    def kind(self) -> Hashable:
        """What tracks have in common that are followed in one pass."""
        return len(self.frames), len(self.pointers)

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.first.nbytes + sum(one.nbytes for one in (*self.frames, *self.pointers))

    def continued(self, memory: Memory) -> Self:
        """Go on to the next frame; the oldest one is forgotten."""
        return type(self)(
            self.first,
            self.span,
            self.steps + 1,
            (memory.tokens, *self.frames)[: self.span.frames],
            (memory.pointer, *self.pointers)[: self.span.pointers],
        )
