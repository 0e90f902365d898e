"""One image, to which a model answers questions."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from .asking import Asking
from .concepts import Box, Candidates, Concept
from .contrast import Contrast
from .errors import PromptError, Sam3Error
from .finding import Finding
from .frames import Frames
from .masks import ObjectMask, ReadingName
from .model import Model, Picture
from .prompts import Prompts
from .propagation import Key, Plan
from .results import Results
from .walking import Walker
from .watch import Looking


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
        self._stack = Picture(frames, contrast, 0)
        self._asking = Asking(model, self._stack)
        self._finding = Finding(model, self._stack)
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
        masks = self._asking.masks(frame, prompts, self._model.turns.interactive())
        self._keep(masks.values())
        return masks

    def prefer(self, frame: int, object_id: int, name: ReadingName) -> None:
        """Let later prompts and propagations start from this reading of the last answer."""
        preferred = self._asking.prefer(frame, object_id, name)
        if preferred is not None:
            self._keep([preferred])

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
        return self._finding.everything(frame, self._model.turns.interactive())

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
        return self._finding.found(frame, concept, self._model.turns.interactive())

    def find_all(
        self,
        text: str | None = None,
        exemplars: Sequence[Box] = (),
        negatives: Sequence[Box] = (),
    ) -> Iterator[Candidates]:
        """Return what `find` returns, for every frame of the stack."""
        self._check(0)
        concept = self._concept(text, exemplars, negatives)
        return self._found_on_all(concept)

    def remove(self, object_id: int) -> None:
        """Forget what was said about an object; its results on disk stay."""
        self._asking.forget(object_id)

    def reset(self) -> None:
        """Forget what was said about all objects; results on disk stay."""
        self._asking.forget_all()

    def close(self) -> None:
        """End the session; what is on disk stays."""
        self.reset()
        self._is_open = False

    def _walk(
        self, plan: Plan, prompted: Mapping[Key, Prompts | ObjectMask]
    ) -> Generator[ObjectMask, None, None]:
        given = partial(self._given, prompted)
        walker = Walker(self._model, self._stack, plan, given)
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
        return masks | self._asking.masks(frame, prompts, self._model.turns.background())

    def _keep(self, masks: Iterable[ObjectMask]) -> None:
        if self._results is not None:
            for mask in masks:
                self._results.write(mask)

    def _check(self, frame: int) -> None:
        if not self._is_open:
            raise Sam3Error("This session is closed: open the image again.")
        self.frames.check(frame)

    def _concept(
        self, text: str | None, exemplars: Sequence[Box], negatives: Sequence[Box]
    ) -> Concept:
        concept = Concept(text, tuple(exemplars), tuple(negatives))
        self._finding.check(concept)
        return concept

    def _found_on_all(self, concept: Concept) -> Iterator[Candidates]:
        for frame in range(self.frames.count):
            self._check(frame)
            yield self._finding.found(frame, concept, self._model.turns.background())


def _check_given(given: Prompts | ObjectMask, shape: tuple[int, int]) -> None:
    match given:
        case Prompts():
            given.check(shape)
        case ObjectMask(pixels=pixels) if pixels.shape != shape:
            raise PromptError(f"The mask is made for {pixels.shape} pixels, the frame has {shape}.")
