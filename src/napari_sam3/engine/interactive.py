"""Asking a model about objects, and only what it was not asked before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..values import Corners, HypothesisName, Key, Mask, Prompts
from .backends.base import Prediction
from .bounded_cache import BoundedCache
from .images.frames import Frames
from .images.model_input import ModelInput
from .images.tiling import (
    CLOSE,
    CUT,
    extent_of,
    level_for,
    mask_in,
    on_frame,
    prompts_in,
    shared_window,
    wider_window,
    window_around,
    window_for,
)
from .images.windows import Window
from .model import Model
from .scheduling import Turn

AGREEING = 0.5
"""A wider look at an object is trusted if it covers this share of what was seen of it before."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptQuery:
    """What is asked about one object."""

    prompts: Prompts  # in pixels of the frame
    asked: Prompts  # in pixels of the window, with the mask so far if another window made it
    previous: Prediction | None = None  # of the same window
    window: Window | None = None  # None if the whole frame is looked at


@dataclass(frozen=True, slots=True, eq=False)
class PromptState:
    """What was last asked and answered about one object on one frame."""

    prompts: Prompts  # in pixels of the frame
    answer: Prediction  # in pixels of the window
    window: Window | None = None  # None if the whole frame was looked at

    @classmethod
    def of(cls, question: PromptQuery, answer: Prediction) -> PromptState:
        """Keep an answer; of a window, only the patches that its readings fill."""
        if question.window is not None:
            answer = replace(answer, hypotheses=tuple(mask.trimmed() for mask in answer.hypotheses))
        for hypothesis in answer.hypotheses:
            hypothesis.crop.setflags(write=False)
        return cls(question.prompts, answer, question.window)

    @property
    def nbytes(self) -> int:
        """Bytes of what was asked and answered."""
        return self.prompts.nbytes + self.answer.nbytes

    def hypotheses(self, shape: tuple[int, int]) -> tuple[Mask, ...]:
        """Return the readings in pixels of the frame (H, W), those its window cuts left out."""
        hypotheses, window = self.answer.hypotheses, self.window
        if window is None:
            return hypotheses
        placed = [on_frame(hypothesis, window, shape) for hypothesis in hypotheses]
        whole = [one for one in placed[1:] if window.frees(one.box, shape, CUT)]
        return (placed[0], *whole)

    def mask(self, frame: int, object_id: int, shape: tuple[int, int]) -> Mask:
        """Turn the answer into a mask, its readings beside it."""
        hypotheses = self.hypotheses(shape)
        best = hypotheses[0]
        return replace(best, frame=frame, object_id=object_id, alternatives=hypotheses)


def first_query(
    prompts: Prompts, frames: Frames, visible: Corners | None = None, known: Iterable[Window] = ()
) -> PromptQuery:
    """Ask about an object of which nothing is known yet, in a known window if one shows it."""
    if not frames.is_large:
        return PromptQuery(prompts, prompts.laid_out())
    window = window_for(prompts, frames.shape, visible)
    window = shared_window(window, extent_of(prompts), known, frames.shape)
    return PromptQuery(prompts, prompts_in(prompts, window), None, window)


def next_query(prompts: Prompts, said: PromptState, frames: Frames) -> PromptQuery:
    """Ask with prompts that extend what was said, in the same window as long as they are in it.

    In another window, the mask so far is the outline to start from.
    """
    window, extent = said.window, extent_of(prompts) if frames.is_large else None
    if window is None or extent is None:
        return PromptQuery(prompts, prompts.laid_out(), said.answer)
    if window.frees(extent, frames.shape, CLOSE):
        return PromptQuery(prompts, prompts_in(prompts, window), said.answer, window)
    before = said.hypotheses(frames.shape)[0]
    if not before.area:
        return first_query(prompts, frames)
    corners = np.array([extent, before.box]).reshape(2, 2, 2)
    around = [*corners[:, 0].min(0).tolist(), *corners[:, 1].max(0).tolist()]
    window = window_around(around, level_for(around, frames.shape), frames.shape)
    asked = prompts_in(prompts, window).with_mask(mask_in(before, window))
    return PromptQuery(prompts, asked, None, window)


def wider_query(said: PromptState, frames: Frames) -> PromptQuery | None:
    """Ask the same in a coarser window, if the object goes on beyond its window."""
    best = said.answer.hypotheses[0]
    if said.window is None or not best.area:
        return None
    window = wider_window(said.window, on_frame(best, said.window, frames.shape).box, frames)
    if window is None:
        return None
    return PromptQuery(said.prompts, prompts_in(said.prompts, window), None, window)


def continuation(
    said: PromptState, wider: PromptState, shape: tuple[int, int]
) -> PromptState | None:
    """Return a wider look at an object, its readings that cover the earlier mask first.

    None if no reading does: then it is another thing, and the earlier mask stays as it is.
    """
    if said.window is None or wider.window is None:
        return None
    before = mask_in(on_frame(said.answer.hypotheses[0], said.window, shape), wider.window)
    covered = [_covered(hypothesis, before) for hypothesis in wider.answer.hypotheses]
    order = sorted(range(len(covered)), key=lambda index: covered[index] < AGREEING)
    if covered[order[0]] < AGREEING:
        return None
    hypotheses = tuple(wider.answer.hypotheses[index] for index in order)
    return replace(wider, answer=replace(wider.answer, hypotheses=hypotheses))


def _covered(hypothesis: Mask, before: NDArray[np.bool_]) -> float:
    """Share of a mask (h, w) of the window that a reading covers."""
    top, left, bottom, right = hypothesis.box
    shared = np.count_nonzero(before[top:bottom, left:right] & hypothesis.crop)
    return float(shared / max(int(np.count_nonzero(before)), 1))


PREDICTION_BYTES = 2**28
"""What the answers may occupy that later prompts can refine, with all that a model needs for it."""
RECENT = 32
"""How many windows are remembered, so that clicks near each other are asked in one of them."""


class InteractiveSegmentation:
    """Asks a model about the objects of one stack.

    Prompts that extend the last ones for the same object and frame refine its answer. Large
    frames are looked at through windows. A mask that its window cuts is asked for again in a
    coarser one, until it is whole. Its outline is kept as it is seen there: with the embedded
    network it agreed as well with invented objects of 1000 to 1700 pixels (0.98 and more, as
    intersection over union) as that of smaller ones, so finer windows would add nothing.
    """

    def __init__(self, model: Model, stack: ModelInput) -> None:
        self._model = model
        self._stack = stack
        self._frames = stack.frames
        self._said: BoundedCache[Key[int], PromptState] = BoundedCache(PREDICTION_BYTES)
        self._windows: deque[tuple[int, Window]] = deque(maxlen=RECENT)  # frame, window

    def masks(
        self,
        frame: int,
        prompts: Mapping[int, Prompts],
        turn: Turn,
        visible: Corners | None = None,
    ) -> dict[int, Mask]:
        """Return the masks of several objects of a frame, by object id.

        Parameters
        ----------
        frame : int
            The frame.
        prompts : mapping of object id to Prompts
            What is said about each object, in pixels of the frame.
        turn : Turn
            In which the model is asked, taken once for every window.
        visible : Box, optional
            What the user sees of the frame.
        """
        said: dict[int, PromptState] = {}
        questions: dict[int, PromptQuery] = {}
        clipped = {i: one.clipped(self._frames.shape) for i, one in prompts.items()}
        for object_id, one in clipped.items():
            known = self._said.get((frame, object_id))
            if known is None or not one.extends(known.prompts):
                questions[object_id] = self._first_question(frame, one, visible)
            elif known.prompts.extends(one):
                said[object_id] = known
            else:
                questions[object_id] = next_query(one, known, self._frames)
        new = self._continued(frame, self._asked(frame, questions, turn), turn)
        for object_id, answered in new.items():
            self._said.put((frame, object_id), answered)
        said |= new
        return {i: said[i].mask(frame, i, self._frames.shape) for i in prompts}

    def prefer(self, frame: int, object_id: int, name: HypothesisName) -> Mask | None:
        """Go on from this reading of the last answer, if there is one, and return it."""
        said = self._said.get((frame, object_id))
        if said is None:
            return None
        hypotheses = tuple(
            sorted(said.answer.hypotheses, key=lambda hypothesis: hypothesis.name != name)
        )
        said = replace(said, answer=replace(said.answer, hypotheses=hypotheses))
        self._said.put((frame, object_id), said)
        return said.mask(frame, object_id, self._frames.shape)

    def forget(self, object_id: int) -> None:
        """Forget what was said about an object."""
        self._said.forget(lambda key: key[1] == object_id)

    def forget_all(self) -> None:
        """Forget what was said about all objects."""
        self._said.clear()

    def _first_question(self, frame: int, prompts: Prompts, visible: Corners | None) -> PromptQuery:
        known = [window for place, window in list(self._windows) if place == frame]
        question = first_query(prompts, self._frames, visible, known)
        if question.window is not None and question.window not in known:
            self._windows.append((frame, question.window))
        return question

    def _asked(
        self, frame: int, questions: Mapping[int, PromptQuery], turn: Turn
    ) -> dict[int, PromptState]:
        """Ask all questions of a window in one pass."""
        said: dict[int, PromptState] = {}
        for window in dict.fromkeys(question.window for question in questions.values()):
            group = {i: one for i, one in questions.items() if one.window == window}
            picture = replace(self._stack, frame=frame, window=window)
            asked = [one.asked for one in group.values()]
            previous = [one.previous for one in group.values()]
            with self._model.embedded(picture, turn) as embedding:
                answers = self._model.backend.segment(embedding, asked, previous)
            for (object_id, one), answer in zip(group.items(), answers, strict=True):
                said[object_id] = PromptState.of(one, answer)
        return said

    def _continued(
        self, frame: int, said: dict[int, PromptState], turn: Turn
    ) -> dict[int, PromptState]:
        """Look at objects that go on beyond their windows in ever coarser ones."""
        going = said
        while going:
            questions = {
                i: question
                for i, one in going.items()
                if (question := wider_query(one, self._frames)) is not None
            }
            wider = self._asked(frame, questions, turn)
            going = {
                i: whole
                for i, one in wider.items()
                if (whole := continuation(said[i], one, self._frames.shape)) is not None
            }
            said = said | going
        return said
