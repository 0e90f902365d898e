"""Following objects from frame to frame, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backend import Answer, Embedding
from .masks import ObjectMask
from .model import Model, Picture
from .propagation import Key, Plan, Step

ABSENT_FRAMES = 2
"""After so many frames in a row without the object, it is not sought any further."""

Given = Callable[[int, Sequence[int]], dict[int, ObjectMask]]


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """Where one object was seen last."""

    track: Any  # the model's own; None if the object was never there
    absent: int = 0  # frames in a row in which it was not found

    @property
    def is_lost(self) -> bool:
        """Whether it is not sought any further."""
        return self.track is None or self.absent >= ABSENT_FRAMES


class Walker:
    """Takes the steps of a plan. It remembers a track for each object, and no frame.

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
        if fresh or sought:
            picture = replace(self._picture, frame=step.frame)
            with self._model.embedded(picture, self._model.turns.background()) as embedding:
                self._start([masks[i] for i in fresh], embedding)
                masks |= self._follow(step.frame, sought, embedding)
        return [masks[i] for i in step.yields]

    def _missing(self, frame: int, object_id: int) -> ObjectMask:
        return ObjectMask(frame, object_id, _nothing(self._picture.frames.shape), 0.0)

    def _start(self, masks: Sequence[ObjectMask], embedding: Embedding) -> None:
        for mask in masks:
            track = None
            if mask.pixels.any():
                given = Answer.given(mask.pixels)
                track = self._model.backend.remember(None, embedding, given)
            self._trails[mask.object_id] = Trail(track)
            if (mask.frame, mask.object_id) in self._turning:
                self._turned[mask.frame, mask.object_id] = Trail(track)

    def _follow(
        self, frame: int, object_ids: Sequence[int], embedding: Embedding
    ) -> dict[int, ObjectMask]:
        if not object_ids:
            return {}
        tracks = [self._trails[i].track for i in object_ids]
        answers = self._model.backend.follow(embedding, tracks)
        for object_id, answer in zip(object_ids, answers, strict=True):
            self._trails[object_id] = self._continued(self._trails[object_id], answer, embedding)
        return {
            i: followed_mask(frame, i, answer)
            for i, answer in zip(object_ids, answers, strict=True)
        }

    def _continued(self, trail: Trail, answer: Answer, embedding: Embedding) -> Trail:
        if not answer.pixels.any():
            return replace(trail, absent=trail.absent + 1)
        return Trail(self._model.backend.remember(trail.track, embedding, answer))


def followed_mask(frame: int, object_id: int, answer: Answer) -> ObjectMask:
    """Turn an answer about a followed object into its mask, whose score is 0 if it is empty."""
    best = answer.readings[0]
    best.pixels.setflags(write=False)
    score = best.score * answer.presence if best.pixels.any() else 0.0
    return ObjectMask(frame, object_id, best.pixels, score, answer.readings)


def _nothing(shape: tuple[int, int]) -> NDArray[np.bool_]:
    return np.broadcast_to(np.False_, shape)
