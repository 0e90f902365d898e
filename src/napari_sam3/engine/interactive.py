"""Interactive segmentation: masks from prompts, refined from click to click."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..values import Corners, HypothesisName, Key, Mask, Prompts
from .backends.base import Prediction
from .bounded_cache import BoundedCache
from .images.frames import Frames, Window
from .images.model_input import ModelInput
from .images.tiling import (
    CLICK_MARGIN,
    CUT_MARGIN,
    extent_of,
    level_for,
    mask_on_frame,
    mask_on_window,
    prompts_on_window,
    shared_window,
    wider_window,
    window_around,
    window_for,
)
from .model import Model
from .scheduling import Turn

PREDICTION_BYTES = 2**28
"""Memory for the predictions that later prompts can refine, with what the model needs for it."""
RECENT_WINDOWS = 32
"""How many windows are kept, so that clicks near each other share one."""
MIN_COVERAGE = 0.5
"""A hypothesis in a wider window continues a mask if it covers at least this share of it."""


class InteractiveSegmentation:
    """Segments the objects of one stack by prompts.

    Prompts that extend the last ones for the same object and frame refine its prediction. Large
    frames are encoded in windows. A mask that its window cuts is predicted again in a coarser
    window, until it is whole. Its outline is kept as it is predicted there: with the embedded
    network it agreed as well with synthetic objects of 1000 to 1700 pixels (0.98 and more, as
    intersection over union) as that of smaller objects, so finer windows would add nothing.
    """

    def __init__(self, model: Model, stack: ModelInput) -> None:
        self._model = model
        self._stack = stack
        self._frames = stack.frames
        self._states: BoundedCache[Key[int], PromptState] = BoundedCache(PREDICTION_BYTES)
        self._windows: deque[tuple[int, Window]] = deque(maxlen=RECENT_WINDOWS)  # frame, window

    def segment(
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
            What each object is prompted with, in pixels of the frame. They were checked.
        turn : Turn
            At the model, taken once for every window.
        visible : Corners, optional
            What the user sees of the frame.
        """
        states: dict[int, PromptState] = {}
        queries: dict[int, PromptQuery] = {}
        for object_id, given in prompts.items():
            clipped = given.clipped(self._frames.shape) if len(given.boxes) else given
            state = self._states.get((frame, object_id))
            if state is None or not clipped.extends(state.prompts):
                queries[object_id] = self._first_query(frame, clipped, visible)
            elif state.prompts.extends(clipped):
                states[object_id] = state
            else:
                queries[object_id] = next_query(clipped, state, self._frames)
        if queries:
            states |= self._predicted(frame, queries, turn)
        return {i: states[i].mask(frame, i, self._frames.shape) for i in prompts}

    def prefer(self, frame: int, object_id: int, name: HypothesisName) -> Mask | None:
        """Put a hypothesis of the last prediction first, and return its mask; None without one."""
        state = self._states.get((frame, object_id))
        if state is None:
            return None
        hypotheses = sorted(state.prediction.hypotheses, key=lambda mask: mask.name != name)
        state = replace(state, prediction=replace(state.prediction, hypotheses=tuple(hypotheses)))
        self._states.put((frame, object_id), state)
        return state.mask(frame, object_id, self._frames.shape)

    def forget(self, object_id: int) -> None:
        """Drop the prompt states of an object."""
        self._states.discard(lambda key: key[1] == object_id)

    def forget_all(self) -> None:
        """Drop all prompt states."""
        self._states.clear()

    def _first_query(self, frame: int, prompts: Prompts, visible: Corners | None) -> PromptQuery:
        recent = [window for index, window in list(self._windows) if index == frame]
        query = first_query(prompts, self._frames, visible, recent)
        if query.window is not None and query.window not in recent:
            self._windows.append((frame, query.window))
        return query

    def _predicted(
        self, frame: int, queries: Mapping[int, PromptQuery], turn: Turn
    ) -> dict[int, PromptState]:
        """Return and keep the states of objects after their queries, by object id."""
        states = self._run(frame, queries, turn)
        if self._frames.is_large:
            states = self._widened(frame, states, turn)
        for object_id, state in states.items():
            self._states.put((frame, object_id), state)
        return states

    def _run(
        self, frame: int, queries: Mapping[int, PromptQuery], turn: Turn
    ) -> dict[int, PromptState]:
        """Run the queries of each window in one batch."""
        batches: dict[Window | None, dict[int, PromptQuery]] = {}
        for object_id, query in queries.items():
            batches.setdefault(query.window, {})[object_id] = query
        states: dict[int, PromptState] = {}
        for window, batch in batches.items():
            model_input = replace(self._stack, frame=frame, window=window)
            prompts = [query.window_prompts for query in batch.values()]
            previous = [query.previous for query in batch.values()]
            with self._model.embedding(model_input, turn) as embedding:
                predictions = self._model.backend.segment(embedding, prompts, previous)
            for (object_id, query), prediction in zip(batch.items(), predictions, strict=True):
                states[object_id] = PromptState.of(query, prediction)
        return states

    def _widened(
        self, frame: int, states: dict[int, PromptState], turn: Turn
    ) -> dict[int, PromptState]:
        """Predict objects that their windows cut in ever coarser ones."""
        cut = states
        while cut:
            queries = {
                i: query
                for i, state in cut.items()
                if (query := wider_query(state, self._frames)) is not None
            }
            wider = self._run(frame, queries, turn)
            cut = {
                i: continued
                for i, state in wider.items()
                if (continued := continuation(states[i], state, self._frames.shape)) is not None
            }
            states = states | cut
        return states


@dataclass(frozen=True, slots=True, eq=False)
class PromptState:
    """The last prompts of an object on a frame, and the prediction for them."""

    prompts: Prompts  # in pixels of the frame
    prediction: Prediction  # in pixels of the window
    window: Window | None = None  # None if the whole frame was encoded

    @classmethod
    def of(cls, query: PromptQuery, prediction: Prediction) -> PromptState:
        """Keep the prediction for a query; of a window, only the crops of its hypotheses."""
        if query.window is not None:
            trimmed = tuple(mask.trimmed() for mask in prediction.hypotheses)
            prediction = replace(prediction, hypotheses=trimmed)
        for mask in prediction.hypotheses:
            mask.crop.setflags(write=False)
        return cls(query.prompts, prediction, query.window)

    @property
    def nbytes(self) -> int:
        """Bytes of the prompts and the prediction."""
        return self.prompts.nbytes + self.prediction.nbytes

    def hypotheses(self, shape: tuple[int, int]) -> tuple[Mask, ...]:
        """Return the hypotheses in pixels of the frame (H, W), without those its window cuts."""
        hypotheses, window = self.prediction.hypotheses, self.window
        if window is None:
            return hypotheses
        best, *rest = (mask_on_frame(mask, window, shape) for mask in hypotheses)
        return (best, *(mask for mask in rest if window.contains(mask.box, shape, CUT_MARGIN)))

    def mask(self, frame: int, object_id: int, shape: tuple[int, int]) -> Mask:
        """Return the best hypothesis on a frame (H, W), with all of them as alternatives."""
        hypotheses = self.hypotheses(shape)
        return replace(hypotheses[0], frame=frame, object_id=object_id, alternatives=hypotheses)


@dataclass(frozen=True, slots=True, eq=False)
class PromptQuery:
    """What is to be predicted for an object: the input of the mask decoder."""

    prompts: Prompts  # in pixels of the frame
    window_prompts: Prompts  # in pixels of the window, with the mask so far if it is a new window
    previous: Prediction | None = None  # of the same window
    window: Window | None = None  # None if the whole frame is encoded


def first_query(
    prompts: Prompts, frames: Frames, visible: Corners | None = None, recent: Iterable[Window] = ()
) -> PromptQuery:
    """Return the query for a new object, in a recent window if one shows it."""
    if not frames.is_large:
        return PromptQuery(prompts, prompts.laid_out())
    window = window_for(prompts, frames.shape, visible)
    window = shared_window(window, extent_of(prompts), recent, frames.shape)
    return PromptQuery(prompts, prompts_on_window(prompts, window), None, window)


def next_query(prompts: Prompts, state: PromptState, frames: Frames) -> PromptQuery:
    """Return the query for prompts that extend those of a state.

    It stays in the window of the state as long as the prompts are in it. In another window, the
    mask so far is the mask prompt.
    """
    window, extent = state.window, extent_of(prompts) if frames.is_large else None
    if window is None or extent is None:
        return PromptQuery(prompts, prompts.laid_out(), state.prediction)
    if window.contains(extent, frames.shape, CLICK_MARGIN):
        return PromptQuery(prompts, prompts_on_window(prompts, window), state.prediction, window)
    mask = state.hypotheses(frames.shape)[0]
    if not mask.area:
        return first_query(prompts, frames)
    corners = np.array([extent, mask.box]).reshape(2, 2, 2)
    around = [*corners[:, 0].min(0).tolist(), *corners[:, 1].max(0).tolist()]
    window = window_around(around, level_for(around, frames.shape), frames.shape)
    window_prompts = prompts_on_window(prompts, window).with_mask(mask_on_window(mask, window))
    return PromptQuery(prompts, window_prompts, None, window)


def wider_query(state: PromptState, frames: Frames) -> PromptQuery | None:
    """Return the query for the same prompts in a coarser window; None if the object is not cut."""
    best = state.prediction.hypotheses[0]
    if state.window is None or not best.area:
        return None
    window = wider_window(state.window, mask_on_frame(best, state.window, frames.shape).box, frames)
    if window is None:
        return None
    return PromptQuery(state.prompts, prompts_on_window(state.prompts, window), None, window)


def continuation(
    state: PromptState, wider: PromptState, shape: tuple[int, int]
) -> PromptState | None:
    """Return the state in a wider window, with the hypotheses that cover the earlier mask first.

    None if no hypothesis does: then it is another object, and the earlier mask stays as it is.
    """
    if state.window is None or wider.window is None:
        return None
    best = mask_on_frame(state.prediction.hypotheses[0], state.window, shape)
    earlier = mask_on_window(best, wider.window)
    hypotheses = wider.prediction.hypotheses
    coverage = [_coverage(hypothesis, earlier) for hypothesis in hypotheses]
    order = sorted(range(len(coverage)), key=lambda index: coverage[index] < MIN_COVERAGE)
    if coverage[order[0]] < MIN_COVERAGE:
        return None
    ordered = tuple(hypotheses[index] for index in order)
    return replace(wider, prediction=replace(wider.prediction, hypotheses=ordered))


def _coverage(hypothesis: Mask, earlier: NDArray[np.bool_]) -> float:
    """Return the share of an earlier mask (h, w) of the window that a hypothesis covers."""
    shared = np.count_nonzero(earlier[hypothesis.box.slices] & hypothesis.crop)
    return float(shared / max(int(np.count_nonzero(earlier)), 1))
