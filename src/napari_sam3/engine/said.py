"""What was said about one object on one frame, and the question that comes next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .backend import Answer
from .finding.exemplars import Box
from .images.frames import Frames
from .images.window_choice import (
    CLOSE,
    CUT,
    extent_of,
    level_for,
    shared_window,
    wider_window,
    window_around,
    window_for,
)
from .images.window_masks import mask_in, on_frame, prompts_in
from .images.windows import Window
from .masks import ObjectMask, Reading, trimmed
from .prompts import Prompts

AGREEING = 0.5
"""A wider look at an object is trusted if it covers this share of what was seen of it before."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is asked about one object."""

    prompts: Prompts  # in pixels of the frame
    asked: Prompts  # in pixels of the window, with the mask so far if another window made it
    previous: Answer | None = None  # of the same window
    window: Window | None = None  # None if the whole frame is looked at


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What was last asked and answered about one object on one frame."""

    prompts: Prompts  # in pixels of the frame
    answer: Answer  # in pixels of the window
    window: Window | None = None  # None if the whole frame was looked at

    @classmethod
    def of(cls, question: Question, answer: Answer) -> Said:
        """Keep an answer; of a window, only the patches that its readings fill."""
        if question.window is not None:
            answer = replace(answer, readings=tuple(map(trimmed, answer.readings)))
        for reading in answer.readings:
            reading.patch.setflags(write=False)
        return cls(question.prompts, answer, question.window)

    @property
    def nbytes(self) -> int:
        """Bytes of what was asked and answered."""
        return self.prompts.nbytes + self.answer.nbytes

    def readings(self, shape: tuple[int, int]) -> tuple[Reading, ...]:
        """Return the readings in pixels of the frame (H, W), those its window cuts left out."""
        readings, window = self.answer.readings, self.window
        if window is None:
            return readings
        placed = [on_frame(reading, window, shape) for reading in readings]
        whole = [one for one in placed[1:] if window.frees(one.box, shape, CUT)]
        return (placed[0], *whole)

    def mask(self, frame: int, object_id: int, shape: tuple[int, int]) -> ObjectMask:
        """Turn the answer into a mask, its readings beside it."""
        readings = self.readings(shape)
        best = readings[0]
        return ObjectMask(frame, object_id, best.patch, best.score, readings, best.place)


def first_question(
    prompts: Prompts, frames: Frames, visible: Box | None = None, known: Iterable[Window] = ()
) -> Question:
    """Ask about an object of which nothing is known yet, in a known window if one shows it."""
    if not frames.is_large:
        return Question(prompts, prompts.laid_out())
    window = window_for(prompts, frames.shape, visible)
    window = shared_window(window, extent_of(prompts), known, frames.shape)
    return Question(prompts, prompts_in(prompts, window), None, window)


def next_question(prompts: Prompts, said: Said, frames: Frames) -> Question:
    """Ask with prompts that extend what was said, in the same window as long as they are in it.

    In another window, the mask so far is the outline to start from.
    """
    window, extent = said.window, extent_of(prompts) if frames.is_large else None
    if window is None or extent is None:
        return Question(prompts, prompts.laid_out(), said.answer)
    if window.frees(extent, frames.shape, CLOSE):
        return Question(prompts, prompts_in(prompts, window), said.answer, window)
    before = said.readings(frames.shape)[0]
    if not before.area:
        return first_question(prompts, frames)
    corners = np.array([extent, before.box]).reshape(2, 2, 2)
    around = [*corners[:, 0].min(0).tolist(), *corners[:, 1].max(0).tolist()]
    window = window_around(around, level_for(around, frames.shape), frames.shape)
    asked = prompts_in(prompts, window).with_mask(mask_in(before, window))
    return Question(prompts, asked, None, window)


def wider_question(said: Said, frames: Frames) -> Question | None:
    """Ask the same in a coarser window, if the object goes on beyond its window."""
    best = said.answer.readings[0]
    if said.window is None or not best.area:
        return None
    window = wider_window(said.window, on_frame(best, said.window, frames.shape).box, frames)
    if window is None:
        return None
    return Question(said.prompts, prompts_in(said.prompts, window), None, window)


def continuation(said: Said, wider: Said, shape: tuple[int, int]) -> Said | None:
    """Return a wider look at an object, its readings that cover the earlier mask first.

    None if no reading does: then it is another thing, and the earlier mask stays as it is.
    """
    if said.window is None or wider.window is None:
        return None
    before = mask_in(on_frame(said.answer.readings[0], said.window, shape), wider.window)
    covered = [_covered(reading, before) for reading in wider.answer.readings]
    order = sorted(range(len(covered)), key=lambda index: covered[index] < AGREEING)
    if covered[order[0]] < AGREEING:
        return None
    readings = tuple(wider.answer.readings[index] for index in order)
    return replace(wider, answer=replace(wider.answer, readings=readings))


def _covered(reading: Reading, before: NDArray[np.bool_]) -> float:
    """Share of a mask (h, w) of the window that a reading covers."""
    top, left, bottom, right = reading.box
    shared = np.count_nonzero(before[top:bottom, left:right] & reading.patch)
    return float(shared / max(int(np.count_nonzero(before)), 1))
