"""Propagating prompted objects through a stack, from the nearest prompted frame to every other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np

from ..values import Key, Mask, PromptError, Prompts
from .backends.base import Embedding, Prediction
from .images.frames import Window
from .images.model_input import ModelInput
from .images.tiling import mask_on_window, masks_on_frame, propagation_windows
from .interactive import InteractiveSegmentation
from .model import Model
from .prefetch import FrameReader, encode_together

ABSENT_FRAMES = 2
"""After so many frames in a row without the object, it is not propagated any further."""

Prompted = Mapping[Key[int], Prompts | Mask]
"""The prompts or the mask of objects, by frame and object id."""

PromptedMasks = Callable[[int, Sequence[int]], dict[int, Mask]]
"""Returns the masks of some objects, by id, on a frame where they are prompted."""


class Propagation:
    """Propagates objects of one stack, and reads the next frames meanwhile."""

    def __init__(
        self, model: Model, stack: ModelInput, interactive: InteractiveSegmentation
    ) -> None:
        self._model = model
        self._stack = stack
        self._interactive = interactive

    def check(self, prompted: Prompted) -> None:
        """Refuse prompts and masks that do not fit the frames.

        Raises
        ------
        PromptError
            If some do not.
        """
        shape = self._stack.frames.shape
        for given in prompted.values():
            match given:
                case Prompts():
                    given.check(shape)
                case Mask(shape=own) if own != shape:
                    raise PromptError(f"The mask is made for {own} pixels, the frame has {shape}.")

    def masks(
        self, plan: Plan, prompted: Prompted, check: Callable[[int], object]
    ) -> Generator[list[Mask], None, None]:
        """Yield the masks of each step of a plan.

        Each frame is checked, by calling ``check`` with it, before it is read.
        """
        with FrameReader(self._model.is_ready) as reader:
            prompted_masks = partial(self._prompted_masks, prompted)
            stack = reader.prefetched(self._stack)
            propagator = Propagator(self._model, stack, plan, prompted_masks)
            steps, reach = list(plan.steps()), 0
            for index, step in enumerate(steps):
                check(step.frame)
                batch = self._model.batch_encoder.size(self._stack.frames.shape)
                reach = max(reach - 1, 2 * batch)  # frames that were read stay in smaller batches
                inputs = [
                    each
                    for later in steps[index : index + reach]
                    for each in propagator.expected_inputs(later)
                ]
                reader.expect(*inputs)
                encode_together(self._model, inputs[:batch])
                yield propagator.run(step)

    def _prompted_masks(
        self, prompted: Prompted, frame: int, object_ids: Sequence[int]
    ) -> dict[int, Mask]:
        masks: dict[int, Mask] = {}
        prompts: dict[int, Prompts] = {}
        for object_id in object_ids:
            match prompted[frame, object_id]:
                case Prompts() as given:
                    prompts[object_id] = given
                case Mask() as mask:
                    own = mask.trimmed() if self._stack.frames.is_large else mask
                    masks[object_id] = replace(own, frame=frame, object_id=object_id)
        return masks | self._interactive.segment(frame, prompts, self._model.turns.background())


@dataclass(frozen=True, slots=True)
class Stretch:
    """The frames to which an object is propagated from a prompted frame, in one direction."""

    object_id: int
    start: int  # the prompted frame
    stop: int  # the last frame; equal to ``start`` if it is not propagated any further

    @property
    def is_backward(self) -> bool:
        """Whether it leads to earlier frames."""
        return self.stop < self.start


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at one frame, in one direction."""

    frame: int
    starts: tuple[int, ...]  # objects prompted here
    continues: tuple[int, ...]  # objects propagated to here from the frame before
    yields: tuple[int, ...]  # those of both whose masks are yielded


@dataclass(frozen=True, slots=True)
class Plan:
    """Every frame of an object is reached from the nearest frame where it is prompted.

    Of two equally near frames the earlier one is taken. Frames outside the range are passed where
    they lie in between.
    """

    stretches: tuple[Stretch, ...]
    frames: range

    @classmethod
    def of(cls, prompted: Collection[Key[int]], frames: range) -> Self:
        """Plan to propagate the prompted objects to these frames, given in any order.

        Raises
        ------
        PromptError
            If nothing is prompted, or the range is empty.
        """
        if not prompted:
            raise PromptError("Nothing is prompted yet: click on an object first.")
        if not frames:
            raise PromptError("The range holds no frame: choose a last frame after the first.")
        starts: dict[int, list[int]] = {}
        for frame, object_id in sorted(prompted):
            starts.setdefault(object_id, []).append(frame)
        stretches = (stretch for item in starts.items() for stretch in _stretches(*item, frames))
        return cls(tuple(stretches), frames)

    @property
    def reversals(self) -> frozenset[Key[int]]:
        """The prompted frames from which an object is propagated backward, and the object."""
        return frozenset(
            (stretch.start, stretch.object_id) for stretch in self.stretches if stretch.is_backward
        )

    def steps(self) -> Iterator[Step]:
        """Yield the steps forward through all prompted frames, then those backward."""
        yield from _forward_steps(
            [stretch for stretch in self.stretches if not stretch.is_backward], self.frames
        )
        yield from _backward_steps(
            [stretch for stretch in self.stretches if stretch.is_backward], self.frames
        )


def _stretches(object_id: int, starts: list[int], frames: range) -> Iterator[Stretch]:
    """Share the frames out among the prompted ones of an object.

    Each begins with a forward stretch, even if it is only propagated backward.
    """
    ordered = np.sort(np.array(frames))
    last_nearer = np.add(starts[:-1], starts[1:]) // 2
    shares = np.split(ordered, np.searchsorted(ordered, last_nearer, "right"))
    for start, share in zip(starts, shares, strict=True):
        if share.size:
            yield Stretch(object_id, start, max(start, int(share[-1])))
        if share.size and share[0] < start:
            yield Stretch(object_id, start, int(share[0]))


def _forward_steps(stretches: Sequence[Stretch], frames: range) -> Iterator[Step]:
    for frame in range(min(s.start for s in stretches), max(s.stop for s in stretches) + 1):
        starts = tuple(s.object_id for s in stretches if s.start == frame)
        continues = tuple(s.object_id for s in stretches if s.start < frame <= s.stop)
        if starts or continues:
            yield Step(frame, starts, continues, starts + continues if frame in frames else ())


def _backward_steps(stretches: Sequence[Stretch], frames: range) -> Iterator[Step]:
    if not stretches:
        return
    for frame in range(max(s.start for s in stretches), min(s.stop for s in stretches) - 1, -1):
        starts = tuple(s.object_id for s in stretches if s.start == frame)
        continues = tuple(s.object_id for s in stretches if s.stop <= frame < s.start)
        if starts or continues:
            yield Step(frame, starts, continues, continues if frame in frames else ())


@dataclass(frozen=True, slots=True, eq=False)
class PropagationState:
    """What is kept of an object from frame to frame."""

    memory: Any  # the model's own; None if the object was never there
    window: Window | None = None  # to which it is propagated; None for the whole frame
    absent_frames: int = 0  # in a row, up to the latest

    @property
    def is_lost(self) -> bool:
        """Whether it is not propagated any further."""
        return self.memory is None or self.absent_frames >= ABSENT_FRAMES


class Propagator:
    """Runs the steps of a plan. It keeps a memory for each object, and no frame.

    On large frames every object is propagated inside a window. Where it comes near a side of it,
    its memory starts anew in a window around it. Objects in one window go through the model in one
    batch.

    Parameters
    ----------
    model : Model
        The model.
    stack : ModelInput
        Any frame of the stack.
    plan : Plan
        Whose steps are run.
    prompted_masks : callable
        Returns the masks of some objects that are prompted on a frame.
    """

    def __init__(
        self, model: Model, stack: ModelInput, plan: Plan, prompted_masks: PromptedMasks
    ) -> None:
        self._model = model
        self._stack = stack
        self._prompted_masks = prompted_masks
        self._reversals = plan.reversals
        self._reversed_states: dict[Key[int], PropagationState] = {}  # where backward steps start
        self._states: dict[int, PropagationState] = {}

    def run(self, step: Step) -> list[Mask]:
        """Run a step and return the masks that it yields."""
        frame = step.frame
        new = [i for i in step.starts if (frame, i) not in self._reversed_states]
        for object_id in set(step.starts) - set(new):
            self._states[object_id] = self._reversed_states.pop((frame, object_id))
        present = [i for i in step.continues if not self._states[i].is_lost]
        masks = {i: Mask.absent(self._stack.frames.shape, frame, i) for i in step.continues}
        masks |= self._prompted_masks(frame, new) if new else {}
        for object_id in new:
            self._start(masks[object_id], PropagationState(None))
        masks |= self._propagated(frame, [masks[i] for i in new if masks[i].area], present)
        self._change_windows([masks[i] for i in present])
        return [masks[i] for i in step.yields]

    def expected_inputs(self, step: Step) -> list[ModelInput]:
        """Return the model inputs of a step without new objects, as far as they are known."""
        if step.starts:
            return []
        states = [self._states[i] for i in step.continues if i in self._states]
        windows = dict.fromkeys(state.window for state in states if not state.is_lost)
        return [replace(self._stack, frame=step.frame, window=window) for window in windows]

    def _propagated(
        self, frame: int, new: Sequence[Mask], object_ids: Sequence[int]
    ) -> dict[int, Mask]:
        """Begin the memories of new masks, and return the masks of objects propagated to a frame.

        Both are done window by window, so that each embedding is needed once.
        """
        new_windows = self._windows(new)
        windows = {i: self._states[i].window for i in object_ids}
        masks: dict[int, Mask] = {}
        for window in dict.fromkeys([*new_windows.values(), *windows.values()]):
            model_input = replace(self._stack, frame=frame, window=window)
            with self._model.embedding(model_input, self._model.turns.background()) as embedding:
                for mask in new:
                    if new_windows[mask.object_id] == window:
                        self._begin_memory(mask, window, embedding)
                inside = [i for i in object_ids if windows[i] == window]
                masks |= self._propagated_in_window(frame, inside, embedding)
        return masks

    def _propagated_in_window(
        self, frame: int, object_ids: Sequence[int], embedding: Embedding
    ) -> dict[int, Mask]:
        if not object_ids:
            return {}
        memories = [self._states[i].memory for i in object_ids]
        predictions = self._model.backend.propagate(embedding, memories)
        masks: dict[int, Mask] = {}
        for object_id, prediction in zip(object_ids, predictions, strict=True):
            state = self._states[object_id]
            self._states[object_id] = self._next_state(state, prediction, embedding)
            if state.window is not None:
                hypotheses = masks_on_frame(
                    prediction.hypotheses, state.window, self._stack.frames.shape
                )
                prediction = replace(prediction, hypotheses=hypotheses)
            masks[object_id] = propagated_mask(frame, object_id, prediction)
        return masks

    def _next_state(
        self, state: PropagationState, prediction: Prediction, embedding: Embedding
    ) -> PropagationState:
        if not prediction.hypotheses[0].area:
            return replace(state, absent_frames=state.absent_frames + 1)
        memory = self._model.backend.update_memory(state.memory, embedding, prediction)
        return PropagationState(memory, state.window)

    def _change_windows(self, masks: Sequence[Mask]) -> None:
        """Begin the memories of objects anew that have come near a side of their windows."""
        present = {mask.object_id: mask for mask in masks if mask.area}
        windows = self._windows(list(present.values()))
        changed = {i: window for i, window in windows.items() if window != self._states[i].window}
        for window in dict.fromkeys(changed.values()):
            inside = [present[i] for i in changed if changed[i] == window]
            model_input = replace(self._stack, frame=inside[0].frame, window=window)
            with self._model.embedding(model_input, self._model.turns.background()) as embedding:
                for mask in inside:
                    self._begin_memory(mask, window, embedding)

    def _windows(self, masks: Sequence[Mask]) -> dict[int, Window | None]:
        """Choose the windows to which objects are propagated from now on, by their ids."""
        if not self._stack.frames.is_large:
            return dict.fromkeys(mask.object_id for mask in masks)
        states = {i: state.window for i, state in self._states.items() if not state.is_lost}
        current = {i: window for i, window in states.items() if window is not None}
        return {**propagation_windows(masks, current)}

    def _begin_memory(self, mask: Mask, window: Window | None, embedding: Embedding) -> None:
        pixels = mask.pixels if window is None else mask_on_window(mask, window)
        memory = self._model.backend.update_memory(None, embedding, Prediction.given(pixels))
        self._start(mask, PropagationState(memory, window))

    def _start(self, mask: Mask, state: PropagationState) -> None:
        self._states[mask.object_id] = state
        if (mask.frame, mask.object_id) in self._reversals:
            self._reversed_states[mask.frame, mask.object_id] = state


def propagated_mask(frame: int, object_id: int, prediction: Prediction) -> Mask:
    """Return the mask of a propagated object; its score is 0 if it is empty."""
    best = prediction.hypotheses[0]
    best.crop.setflags(write=False)
    score = best.score * prediction.presence if best.area else 0.0
    return replace(
        best, score=score, frame=frame, object_id=object_id, alternatives=prediction.hypotheses
    )
