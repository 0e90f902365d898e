"""The plan of a propagation: which objects are followed from where to where."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np

from ..values import Key, Mask, PromptError, Prompts
from .backends.base import Embedding, Prediction
from .images.model_input import ModelInput
from .images.tiling import mask_in, placed, propagation_windows
from .images.windows import Window
from .interactive import InteractiveSegmentation
from .model import Model
from .prefetch import FrameReader, embed_together


@dataclass(frozen=True, slots=True)
class Stretch:
    """One object followed from a frame where it is prompted, in one direction."""

    object_id: int
    start: int  # the prompted frame
    stop: int  # the last frame; equal to ``start`` when it is not followed any further


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at one frame while walking in one direction."""

    frame: int
    starts: tuple[int, ...]  # objects prompted here
    follows: tuple[int, ...]  # objects followed to here from the step before
    yields: tuple[int, ...]  # those of both whose masks were asked for


@dataclass(frozen=True, slots=True)
class Plan:
    """Every frame of an object is reached from the nearest frame where it is prompted.

    Of two that are equally near the earlier one is taken. Frames that were not asked for are
    walked through where they lie in between.
    """

    stretches: tuple[Stretch, ...]
    frames: range

    @classmethod
    def of(cls, prompted: Collection[Key[int]], frames: range) -> Self:
        """Plan to follow the prompted objects through these frames, given in any order."""
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
    def turning(self) -> frozenset[Key[int]]:
        """Prompted frames from which an object is followed backward."""
        return frozenset(
            (stretch.start, stretch.object_id) for stretch in self.stretches if _is_back(stretch)
        )

    def steps(self) -> Iterator[Step]:
        """Walk forward through all prompted frames, then backward."""
        yield from _forward(
            [stretch for stretch in self.stretches if not _is_back(stretch)], self.frames
        )
        yield from _backward(
            [stretch for stretch in self.stretches if _is_back(stretch)], self.frames
        )


def _is_back(stretch: Stretch) -> bool:
    return stretch.stop < stretch.start


def _stretches(object_id: int, starts: list[int], frames: range) -> Iterator[Stretch]:
    """Share the frames out among the prompted ones; each starts, even if it goes backward alone."""
    asked = np.sort(np.array(frames))
    last_nearer = np.add(starts[:-1], starts[1:]) // 2
    shares = np.split(asked, np.searchsorted(asked, last_nearer, "right"))
    for start, share in zip(starts, shares, strict=True):
        if share.size:
            yield Stretch(object_id, start, max(start, int(share[-1])))
        if share.size and share[0] < start:
            yield Stretch(object_id, start, int(share[0]))


def _forward(stretches: Sequence[Stretch], frames: range) -> Iterator[Step]:
    for frame in range(min(w.start for w in stretches), max(w.stop for w in stretches) + 1):
        starts = tuple(w.object_id for w in stretches if w.start == frame)
        follows = tuple(w.object_id for w in stretches if w.start < frame <= w.stop)
        if starts or follows:
            yield Step(frame, starts, follows, starts + follows if frame in frames else ())


def _backward(stretches: Sequence[Stretch], frames: range) -> Iterator[Step]:
    if not stretches:
        return
    for frame in range(max(w.start for w in stretches), min(w.stop for w in stretches) - 1, -1):
        starts = tuple(w.object_id for w in stretches if w.start == frame)
        follows = tuple(w.object_id for w in stretches if w.stop <= frame < w.start)
        if starts or follows:
            yield Step(frame, starts, follows, follows if frame in frames else ())


ABSENT_FRAMES = 2
"""After so many frames in a row without the object, it is not sought any further."""

Given = Callable[[int, Sequence[int]], dict[int, Mask]]


@dataclass(frozen=True, slots=True, eq=False)
class PropagationState:
    """Where one object was seen last."""

    track: Any  # the model's own; None if the object was never there
    window: Window | None = None  # where the model looks for it; None for all of the frame
    absent: int = 0  # frames in a row in which it was not found

    @property
    def is_lost(self) -> bool:
        """Whether it is not sought any further."""
        return self.track is None or self.absent >= ABSENT_FRAMES


class Propagator:
    """Takes the steps of a plan. It remembers a track for each object, and no frame.

    On large frames every object is followed inside a window. Where it comes near a side of it,
    its track begins anew in a window around it. Objects in one window are followed in one pass.

    Parameters
    ----------
    model : Model
        Finds the objects.
    picture : Picture
        Any frame of the stack as the user sees it.
    plan : Plan
        Whose steps are taken.
    given : callable
        Returns the masks of some objects that are prompted on a frame.
    """

    def __init__(self, model: Model, picture: ModelInput, plan: Plan, given: Given) -> None:
        self._model = model
        self._picture = picture
        self._given = given
        self._turning = plan.turning
        self._turned: dict[Key[int], PropagationState] = {}  # waiting to be followed backward
        self._states: dict[int, PropagationState] = {}

    def take(self, step: Step) -> list[Mask]:
        """Take a step and return the masks that were asked for."""
        fresh = [i for i in step.starts if (step.frame, i) not in self._turned]
        for object_id in set(step.starts) - set(fresh):
            self._states[object_id] = self._turned.pop((step.frame, object_id))
        sought = [i for i in step.follows if not self._states[i].is_lost]
        masks = {i: self._missing(step.frame, i) for i in step.follows}
        masks |= self._given(step.frame, fresh) if fresh else {}
        for object_id in fresh:
            self._set_out(masks[object_id], PropagationState(None))
        there = [masks[i] for i in fresh if masks[i].area]
        masks |= self._looked(step.frame, there, sought)
        self._move([masks[i] for i in sought])
        return [masks[i] for i in step.yields]

    def expected(self, step: Step) -> list[ModelInput]:
        """Return the pictures that a step without new objects looks at, as far as is known."""
        if step.starts:
            return []
        states = [self._states[i] for i in step.follows if i in self._states]
        windows = dict.fromkeys(state.window for state in states if not state.is_lost)
        return [replace(self._picture, frame=step.frame, window=window) for window in windows]

    def _looked(self, frame: int, fresh: Sequence[Mask], sought: Sequence[int]) -> dict[int, Mask]:
        """Start and follow objects on a frame, window by window; return the followed ones."""
        starts = self._windows(fresh)
        follows = {i: self._states[i].window for i in sought}
        masks: dict[int, Mask] = {}
        for window in dict.fromkeys([*starts.values(), *follows.values()]):
            picture = replace(self._picture, frame=frame, window=window)
            with self._model.embedded(picture, self._model.turns.background()) as embedding:
                for mask in fresh:
                    if starts[mask.object_id] == window:
                        self._begin(mask, window, embedding)
                here = [i for i in sought if follows[i] == window]
                masks |= self._propagate(frame, here, embedding)
        return masks

    def _windows(self, masks: Sequence[Mask]) -> dict[int, Window | None]:
        """Choose where objects are looked for from now on, by their ids."""
        if not self._picture.frames.is_large:
            return dict.fromkeys(mask.object_id for mask in masks)
        states = {i: state.window for i, state in self._states.items() if not state.is_lost}
        current = {i: window for i, window in states.items() if window is not None}
        return {**propagation_windows(masks, current)}

    def _missing(self, frame: int, object_id: int) -> Mask:
        shape = self._picture.frames.shape
        return Mask.absent(shape, frame, object_id)

    def _begin(self, mask: Mask, window: Window | None, embedding: Embedding) -> None:
        pixels = mask.pixels if window is None else mask_in(mask, window)
        track = self._model.backend.update_memory(None, embedding, Prediction.given(pixels))
        self._set_out(mask, PropagationState(track, window))

    def _set_out(self, mask: Mask, state: PropagationState) -> None:
        self._states[mask.object_id] = state
        if (mask.frame, mask.object_id) in self._turning:
            self._turned[mask.frame, mask.object_id] = state

    def _propagate(
        self, frame: int, object_ids: Sequence[int], embedding: Embedding
    ) -> dict[int, Mask]:
        if not object_ids:
            return {}
        tracks = [self._states[i].track for i in object_ids]
        answers = self._model.backend.propagate(embedding, tracks)
        masks: dict[int, Mask] = {}
        for object_id, answer in zip(object_ids, answers, strict=True):
            state = self._states[object_id]
            self._states[object_id] = self._continued(state, answer, embedding)
            if state.window is not None:
                shape = self._picture.frames.shape
                answer = replace(answer, hypotheses=placed(answer.hypotheses, state.window, shape))
            masks[object_id] = propagated_mask(frame, object_id, answer)
        return masks

    def _continued(
        self, state: PropagationState, answer: Prediction, embedding: Embedding
    ) -> PropagationState:
        if not answer.hypotheses[0].area:
            return replace(state, absent=state.absent + 1)
        track = self._model.backend.update_memory(state.track, embedding, answer)
        return PropagationState(track, state.window)

    def _move(self, masks: Sequence[Mask]) -> None:
        """Begin the tracks of objects anew that have come near the side of their windows."""
        seen = {mask.object_id: mask for mask in masks if mask.area}
        windows = self._windows(list(seen.values()))
        moving = {i: window for i, window in windows.items() if window != self._states[i].window}
        for window in dict.fromkeys(moving.values()):
            here = [seen[i] for i in moving if moving[i] == window]
            picture = replace(self._picture, frame=here[0].frame, window=window)
            with self._model.embedded(picture, self._model.turns.background()) as embedding:
                for mask in here:
                    self._begin(mask, window, embedding)


def propagated_mask(frame: int, object_id: int, answer: Prediction) -> Mask:
    """Turn an answer about a followed object into its mask, whose score is 0 if it is empty."""
    best = answer.hypotheses[0]
    best.crop.setflags(write=False)
    score = best.score * answer.presence if best.area else 0.0
    return replace(
        best, score=score, frame=frame, object_id=object_id, alternatives=answer.hypotheses
    )


Prompted = Mapping[Key[int], Prompts | Mask]
"""Where objects are known, by frame and object id."""


class Propagation:
    """Follows objects of one stack, and reads frames ahead meanwhile."""

    def __init__(self, model: Model, stack: ModelInput, asking: InteractiveSegmentation) -> None:
        self._model = model
        self._stack = stack
        self._asking = asking

    def check(self, prompted: Prompted) -> None:
        """Refuse what does not fit the frames."""
        shape = self._stack.frames.shape
        for one in prompted.values():
            match one:
                case Prompts():
                    one.check(shape)
                case Mask(shape=own) if own != shape:
                    raise PromptError(f"The mask is made for {own} pixels, the frame has {shape}.")

    def masks(
        self, plan: Plan, prompted: Prompted, check: Callable[[int], object]
    ) -> Generator[list[Mask], None, None]:
        """Yield the masks of one step after the other; each frame is checked before it is read."""
        with FrameReader(self._model.is_ready) as reader:
            given = partial(self._given, prompted)
            propagator = Propagator(self._model, reader.picture(self._stack), plan, given)
            steps, reach = list(plan.steps()), 0
            for index, step in enumerate(steps):
                check(step.frame)
                size = self._model.batches.size(self._stack.frames.shape)
                reach = max(reach - 1, 2 * size)  # what is read ahead stays so in smaller batches
                coming = map(propagator.expected, steps[index : index + reach])
                expected = [picture for pictures in coming for picture in pictures]
                reader.expect(*expected)
                embed_together(self._model, expected[:size])
                yield propagator.take(step)

    def _given(self, prompted: Prompted, frame: int, object_ids: Sequence[int]) -> dict[int, Mask]:
        masks: dict[int, Mask] = {}
        prompts: dict[int, Prompts] = {}
        for object_id in object_ids:
            match prompted[frame, object_id]:
                case Prompts() as said:
                    prompts[object_id] = said
                case Mask() as mask:
                    own = mask.trimmed() if self._stack.frames.is_large else mask
                    masks[object_id] = replace(own, frame=frame, object_id=object_id)
        return masks | self._asking.masks(frame, prompts, self._model.turns.background())
