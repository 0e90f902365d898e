"""Following objects from frame to frame, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .backend import Answer, Embedding
from .images.picture import Picture
from .images.window_choice import windows_to_follow
from .images.window_masks import mask_in, placed
from .images.windows import Window
from .masks import ObjectMask, Place
from .model import Model
from .propagation import Key, Plan, Step

ABSENT_FRAMES = 2
"""After so many frames in a row without the object, it is not sought any further."""

Given = Callable[[int, Sequence[int]], dict[int, ObjectMask]]


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """Where one object was seen last."""

    track: Any  # the model's own; None if the object was never there
    window: Window | None = None  # where the model looks for it; None for all of the frame
    absent: int = 0  # frames in a row in which it was not found

    @property
    def is_lost(self) -> bool:
        """Whether it is not sought any further."""
        return self.track is None or self.absent >= ABSENT_FRAMES


class Walker:
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

    def __init__(self, model: Model, picture: Picture, plan: Plan, given: Given) -> None:
        self._model = model
        self._picture = picture
        self._given = given
        self._turning = plan.turning
        self._turned: dict[Key, Trail] = {}  # waiting to be followed backward
        self._trails: dict[int, Trail] = {}

    def take(self, step: Step) -> list[ObjectMask]:
        """Take a step and return the masks that were asked for."""
        fresh = [i for i in step.starts if (step.frame, i) not in self._turned]
        for object_id in set(step.starts) - set(fresh):
            self._trails[object_id] = self._turned.pop((step.frame, object_id))
        sought = [i for i in step.follows if not self._trails[i].is_lost]
        masks = {i: self._missing(step.frame, i) for i in step.follows}
        masks |= self._given(step.frame, fresh) if fresh else {}
        for object_id in fresh:
            self._set_out(masks[object_id], Trail(None))
        there = [masks[i] for i in fresh if masks[i].area]
        masks |= self._looked(step.frame, there, sought)
        self._move([masks[i] for i in sought])
        return [masks[i] for i in step.yields]

    def expected(self, step: Step) -> list[Picture]:
        """Return the pictures that a step without new objects looks at, as far as is known."""
        if step.starts:
            return []
        trails = [self._trails[i] for i in step.follows if i in self._trails]
        windows = dict.fromkeys(trail.window for trail in trails if not trail.is_lost)
        return [replace(self._picture, frame=step.frame, window=window) for window in windows]

    def _looked(
        self, frame: int, fresh: Sequence[ObjectMask], sought: Sequence[int]
    ) -> dict[int, ObjectMask]:
        """Start and follow objects on a frame, window by window; return the followed ones."""
        starts = self._windows(fresh)
        follows = {i: self._trails[i].window for i in sought}
        masks: dict[int, ObjectMask] = {}
        for window in dict.fromkeys([*starts.values(), *follows.values()]):
            picture = replace(self._picture, frame=frame, window=window)
            with self._model.embedded(picture, self._model.turns.background()) as embedding:
                for mask in fresh:
                    if starts[mask.object_id] == window:
                        self._begin(mask, window, embedding)
                here = [i for i in sought if follows[i] == window]
                masks |= self._follow(frame, here, embedding)
        return masks

    def _windows(self, masks: Sequence[ObjectMask]) -> dict[int, Window | None]:
        """Choose where objects are looked for from now on, by their ids."""
        if not self._picture.frames.is_large:
            return dict.fromkeys(mask.object_id for mask in masks)
        trails = {i: trail.window for i, trail in self._trails.items() if not trail.is_lost}
        current = {i: window for i, window in trails.items() if window is not None}
        return {**windows_to_follow(masks, current)}

    def _missing(self, frame: int, object_id: int) -> ObjectMask:
        shape = self._picture.frames.shape
        if self._picture.frames.is_large:
            nothing = np.zeros((0, 0), bool)
            return ObjectMask(frame, object_id, nothing, 0.0, place=Place(0, 0, shape))
        return ObjectMask(frame, object_id, np.broadcast_to(np.False_, shape), 0.0)

    def _begin(self, mask: ObjectMask, window: Window | None, embedding: Embedding) -> None:
        pixels = mask.pixels if window is None else mask_in(mask, window)
        track = self._model.backend.remember(None, embedding, Answer.given(pixels))
        self._set_out(mask, Trail(track, window))

    def _set_out(self, mask: ObjectMask, trail: Trail) -> None:
        self._trails[mask.object_id] = trail
        if (mask.frame, mask.object_id) in self._turning:
            self._turned[mask.frame, mask.object_id] = trail

    def _follow(
        self, frame: int, object_ids: Sequence[int], embedding: Embedding
    ) -> dict[int, ObjectMask]:
        if not object_ids:
            return {}
        tracks = [self._trails[i].track for i in object_ids]
        answers = self._model.backend.follow(embedding, tracks)
        masks: dict[int, ObjectMask] = {}
        for object_id, answer in zip(object_ids, answers, strict=True):
            trail = self._trails[object_id]
            self._trails[object_id] = self._continued(trail, answer, embedding)
            if trail.window is not None:
                shape = self._picture.frames.shape
                answer = replace(answer, readings=placed(answer.readings, trail.window, shape))
            masks[object_id] = followed_mask(frame, object_id, answer)
        return masks

    def _continued(self, trail: Trail, answer: Answer, embedding: Embedding) -> Trail:
        if not answer.readings[0].area:
            return replace(trail, absent=trail.absent + 1)
        track = self._model.backend.remember(trail.track, embedding, answer)
        return Trail(track, trail.window)

    def _move(self, masks: Sequence[ObjectMask]) -> None:
        """Begin the tracks of objects anew that have come near the side of their windows."""
        seen = {mask.object_id: mask for mask in masks if mask.area}
        windows = self._windows(list(seen.values()))
        moving = {i: window for i, window in windows.items() if window != self._trails[i].window}
        for window in dict.fromkeys(moving.values()):
            here = [seen[i] for i in moving if moving[i] == window]
            picture = replace(self._picture, frame=here[0].frame, window=window)
            with self._model.embedded(picture, self._model.turns.background()) as embedding:
                for mask in here:
                    self._begin(mask, window, embedding)


def followed_mask(frame: int, object_id: int, answer: Answer) -> ObjectMask:
    """Turn an answer about a followed object into its mask, whose score is 0 if it is empty."""
    best = answer.readings[0]
    best.patch.setflags(write=False)
    score = best.score * answer.presence if best.area else 0.0
    return ObjectMask(frame, object_id, best.patch, score, answer.readings, best.place)
