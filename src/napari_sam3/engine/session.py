"""One image, to which a model answers questions."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from .backend import Answer, reads_no_concepts
from .concepts import Box, Candidates, Concept
from .contrast import Contrast
from .embeddings import BoundedCache
from .errors import PromptError, Sam3Error
from .frames import Frames
from .masks import ObjectMask, ReadingName
from .model import Model, Picture
from .prompts import Prompts
from .propagation import Key, Plan
from .results import Results
from .walking import Walker
from .watch import Looking

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


class Session:
    """Answers questions about the frames of one stack, seen with one contrast.

    Made by `Engine.open`. Coordinates are (row, col) in pixels of the frame. Masks are read-only.
    """

    def __init__(
        self, model: Model, frames: Frames, contrast: Contrast, results: Results | None = None
    ) -> None:
        self.frames = frames
        self.contrast = contrast
        self._model = model
        self._results = results
        self._said: BoundedCache[Key, Said] = BoundedCache(ANSWER_BYTES)
        self._is_open = True

    @property
    def looking(self) -> Looking | None:
        """How far the model has come with an image that it looks at, of this session or not."""
        return self._model.watch.looking

    def stop_looking(self) -> None:
        """End looking at that image; who waits for it gets `CancelledError`."""
        self._model.watch.cancel()

    def segment(self, frame: int, prompts: Prompts, object_id: int = 1) -> ObjectMask:
        """Return the mask of the object that the prompts describe.

        Prompts that extend the last ones for the same object and frame refine its answer.
        """
        return self.segment_many(frame, {object_id: prompts})[object_id]

    def segment_many(self, frame: int, prompts: Mapping[int, Prompts]) -> dict[int, ObjectMask]:
        """Return the masks of several objects of a frame, by object id, in one pass."""
        self._check(frame)
        for one in prompts.values():
            one.check(self.frames.shape)
        masks = self._answered(frame, prompts, self._model.turns.interactive())
        self._keep(masks.values())
        return masks

    def prefer(self, frame: int, object_id: int, name: ReadingName) -> None:
        """Let later prompts and propagations start from this reading of the last answer."""
        said = self._said.get((frame, object_id))
        if said is None:
            return
        readings = tuple(sorted(said.answer.readings, key=lambda reading: reading.name != name))
        said = replace(said, answer=replace(said.answer, readings=readings))
        self._said.put((frame, object_id), said)
        self._keep([segmented_mask(frame, object_id, said.answer)])

    def propagate(
        self,
        prompted: Mapping[Key, Prompts | ObjectMask],
        frames: range | None = None,
    ) -> Generator[ObjectMask, None, None]:
        """Follow objects through the stack and yield their masks frame by frame.

        Parameters
        ----------
        prompted : mapping of (frame, object id) to Prompts or ObjectMask
            Where each object is known. A mask is taken as it is.
        frames : range, optional
            The frames whose masks are yielded, by default all: forward first, then backward.

        Yields
        ------
        ObjectMask
            Each frame of an object, reached from the nearest one where it is prompted. Once an
            object was absent twice in a row, its masks are empty with a score of 0.
        """
        asked = range(self.frames.count) if frames is None else frames
        plan = Plan.of(prompted, asked)
        for frame in (min(asked), max(asked), *(frame for frame, _ in prompted)):
            self._check(frame)
        for one in prompted.values():
            _check_given(one, self.frames.shape)
        return self._walk(plan, dict(prompted))

    def everything(self, frame: int) -> Candidates:
        """Return all objects of a frame, found without prompts."""
        self._check(frame)
        turn = self._model.turns.interactive()
        with self._model.embedded(self._picture(frame), turn) as embedding:
            return replace(self._model.backend.everything(embedding), frame=frame)

    def find(
        self,
        frame: int,
        text: str | None = None,
        exemplars: Sequence[Box] = (),
        negatives: Sequence[Box] = (),
    ) -> Candidates:
        """Return all objects of a frame that a text or exemplars describe.

        Raises
        ------
        ModelError
            If the model reads neither texts nor exemplars.
        """
        self._check(frame)
        concept = self._concept(text, exemplars, negatives)
        return self._found(frame, concept, self._model.turns.interactive())

    def find_all(
        self,
        text: str | None = None,
        exemplars: Sequence[Box] = (),
        negatives: Sequence[Box] = (),
    ) -> Iterator[Candidates]:
        """Return what `find` returns, for every frame of the stack."""
        self._check(0)
        concept = self._concept(text, exemplars, negatives)
        return (
            self._found(frame, concept, self._model.turns.background())
            for frame in range(self.frames.count)
        )

    def remove(self, object_id: int) -> None:
        """Forget what was said about an object; its results on disk stay."""
        self._said.forget(lambda key: key[1] == object_id)

    def reset(self) -> None:
        """Forget what was said about all objects; results on disk stay."""
        self._said.clear()

    def close(self) -> None:
        """End the session; what is on disk stays."""
        self.reset()
        self._is_open = False

    def _walk(
        self, plan: Plan, prompted: Mapping[Key, Prompts | ObjectMask]
    ) -> Generator[ObjectMask, None, None]:
        given = partial(self._given, prompted)
        walker = Walker(self._model, self._picture(0), plan, given)
        for step in plan.steps():
            self._check(step.frame)
            masks = walker.take(step)
            self._keep(masks)
            yield from masks

    def _given(
        self,
        prompted: Mapping[Key, Prompts | ObjectMask],
        frame: int,
        object_ids: Sequence[int],
    ) -> dict[int, ObjectMask]:
        masks: dict[int, ObjectMask] = {}
        prompts: dict[int, Prompts] = {}
        for object_id in object_ids:
            match prompted[frame, object_id]:
                case Prompts() as said:
                    prompts[object_id] = said
                case ObjectMask() as mask:
                    masks[object_id] = replace(mask, frame=frame, object_id=object_id)
        return masks | self._answered(frame, prompts, self._model.turns.background())

    def _answered(
        self, frame: int, prompts: Mapping[int, Prompts], turn: AbstractContextManager[None]
    ) -> dict[int, ObjectMask]:
        """Ask the model only what it was not asked before."""
        answers: dict[int, Answer] = {}
        for object_id, one in prompts.items():
            said = self._said.get((frame, object_id))
            if said is not None and said.prompts.extends(one) and one.extends(said.prompts):
                answers[object_id] = said.answer
        new = {i: one for i, one in prompts.items() if i not in answers}
        if new:
            answers |= self._asked(frame, new, turn)
        return {i: segmented_mask(frame, i, answers[i]) for i in prompts}

    def _asked(
        self, frame: int, prompts: Mapping[int, Prompts], turn: AbstractContextManager[None]
    ) -> dict[int, Answer]:
        previous = [self._previous((frame, i), one) for i, one in prompts.items()]
        with self._model.embedded(self._picture(frame), turn) as embedding:
            answers = self._model.backend.segment(embedding, list(prompts.values()), previous)
        for (object_id, one), answer in zip(prompts.items(), answers, strict=True):
            self._said.put((frame, object_id), Said(one, answer))
        return dict(zip(prompts, answers, strict=True))

    def _previous(self, key: Key, prompts: Prompts) -> Answer | None:
        said = self._said.get(key)
        return said.answer if said is not None and prompts.extends(said.prompts) else None

    def _keep(self, masks: Iterable[ObjectMask]) -> None:
        if self._results is not None:
            for mask in masks:
                self._results.write(mask)

    def _picture(self, frame: int) -> Picture:
        return Picture(self.frames, self.contrast, frame)

    def _check(self, frame: int) -> None:
        if not self._is_open:
            raise Sam3Error("This session is closed: open the image again.")
        self.frames.check(frame)

    def _concept(
        self, text: str | None, exemplars: Sequence[Box], negatives: Sequence[Box]
    ) -> Concept:
        backend = self._model.backend
        if not backend.reads_concepts:
            raise reads_no_concepts(backend.name)
        concept = Concept(text, tuple(exemplars), tuple(negatives))
        if concept.is_empty:
            raise PromptError("Nothing says what to find: type a text or draw a box around one.")
        if len(exemplars) + len(negatives):
            Prompts(boxes=[*exemplars, *negatives]).check(self.frames.shape)
        return concept

    def _found(
        self, frame: int, concept: Concept, turn: AbstractContextManager[None]
    ) -> Candidates:
        self._check(frame)
        with self._model.embedded(self._picture(frame), turn) as embedding:
            return replace(self._model.backend.find(embedding, concept), frame=frame)


def segmented_mask(frame: int, object_id: int, answer: Answer) -> ObjectMask:
    """Turn the answer to a prompt into a mask, its readings beside it."""
    for reading in answer.readings:
        reading.pixels.setflags(write=False)
    best = answer.readings[0]
    return ObjectMask(frame, object_id, best.pixels, best.score, answer.readings)


def _check_given(given: Prompts | ObjectMask, shape: tuple[int, int]) -> None:
    match given:
        case Prompts():
            given.check(shape)
        case ObjectMask(pixels=pixels) if pixels.shape != shape:
            raise PromptError(f"The mask is made for {pixels.shape} pixels, the frame has {shape}.")
