"""What was said about objects, and what a model answered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from .backend import Answer
from .embeddings import BoundedCache
from .masks import ObjectMask, ReadingName
from .model import Model, Picture
from .prompts import Prompts
from .propagation import Key

ANSWER_BYTES = 2**28
"""What the answers may occupy that later prompts can refine."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What was last asked and answered about one object on one frame."""

    prompts: Prompts
    answer: Answer

    @property
    def nbytes(self) -> int:
        """Bytes of the masks."""
        return sum(reading.pixels.nbytes for reading in self.answer.readings)


class Asking:
    """Asks a model about the objects of one stack, and only what it was not asked before.

    Prompts that extend the last ones for the same object and frame refine its answer.
    """

    def __init__(self, model: Model, stack: Picture) -> None:
        self._model = model
        self._stack = stack
        self._said: BoundedCache[Key, Said] = BoundedCache(ANSWER_BYTES)

    def masks(
        self, frame: int, prompts: Mapping[int, Prompts], turn: AbstractContextManager[None]
    ) -> dict[int, ObjectMask]:
        """Return the masks of several objects of a frame, by object id, asked in this turn."""
        answers: dict[int, Answer] = {}
        for object_id, one in prompts.items():
            said = self._said.get((frame, object_id))
            if said is not None and said.prompts.extends(one) and one.extends(said.prompts):
                answers[object_id] = said.answer
        new = {i: one for i, one in prompts.items() if i not in answers}
        if new:
            answers |= self._asked(frame, new, turn)
        return {i: segmented_mask(frame, i, answers[i]) for i in prompts}

    def prefer(self, frame: int, object_id: int, name: ReadingName) -> ObjectMask | None:
        """Go on from this reading of the last answer, if there is one, and return it."""
        said = self._said.get((frame, object_id))
        if said is None:
            return None
        readings = tuple(sorted(said.answer.readings, key=lambda reading: reading.name != name))
        said = replace(said, answer=replace(said.answer, readings=readings))
        self._said.put((frame, object_id), said)
        return segmented_mask(frame, object_id, said.answer)

    def forget(self, object_id: int) -> None:
        """Forget what was said about an object."""
        self._said.forget(lambda key: key[1] == object_id)

    def forget_all(self) -> None:
        """Forget what was said about all objects."""
        self._said.clear()

    def _asked(
        self, frame: int, prompts: Mapping[int, Prompts], turn: AbstractContextManager[None]
    ) -> dict[int, Answer]:
        previous = [self._previous((frame, i), one) for i, one in prompts.items()]
        with self._model.embedded(replace(self._stack, frame=frame), turn) as embedding:
            answers = self._model.backend.segment(embedding, list(prompts.values()), previous)
        for (object_id, one), answer in zip(prompts.items(), answers, strict=True):
            self._said.put((frame, object_id), Said(one, answer))
        return dict(zip(prompts, answers, strict=True))

    def _previous(self, key: Key, prompts: Prompts) -> Answer | None:
        said = self._said.get(key)
        return said.answer if said is not None and prompts.extends(said.prompts) else None


def segmented_mask(frame: int, object_id: int, answer: Answer) -> ObjectMask:
    """Turn the answer to a prompt into a mask, its readings beside it."""
    for reading in answer.readings:
        reading.pixels.setflags(write=False)
    best = answer.readings[0]
    return ObjectMask(frame, object_id, best.pixels, best.score, answer.readings)
