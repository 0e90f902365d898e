"""One image, to which a model answers questions."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from operator import index

from ..values import (
    Candidates,
    Concept,
    Corners,
    Exemplar,
    FramesError,
    HypothesisName,
    Key,
    Mask,
    Prompts,
    Sam3Error,
)
from .detection import Detection
from .images.contrast import Contrast
from .images.frames import Frames
from .images.model_input import ModelInput
from .interactive import InteractiveSegmentation
from .model import Model
from .prefetch import Prefetch
from .progress import EncodingProgress
from .propagation import Plan, Propagation
from .results import Results


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
        self._stack = ModelInput(frames, contrast, 0)
        self._asking = InteractiveSegmentation(model, self._stack)
        self._propagation = Propagation(model, self._stack, self._asking)
        self._detection = Detection(model, self._stack)
        self._prefetch = Prefetch(model, self._stack)
        self._is_open = True

    @property
    def encoding_progress(self) -> EncodingProgress | None:
        """How far the model has come with an image that it looks at, of this session or not."""
        return self._model.watch.encoding_progress

    def stop_encoding(self) -> None:
        """End looking at that image; who waits for it gets `CancelledError`."""
        self._model.watch.cancel()

    def segment(
        self, frame: int, prompts: Prompts, object_id: int = 1, visible: Corners | None = None
    ) -> Mask:
        """Return the mask of the object that the prompts describe.

        Prompts that extend the last ones for the same object and frame refine its answer. Of a
        large frame only a window is looked at; what is visible on the screen, (row, col, row,
        col), tells how closely.
        """
        return self.segment_many(frame, {object_id: prompts}, visible)[object_id]

    def segment_many(
        self, frame: int, prompts: Mapping[int, Prompts], visible: Corners | None = None
    ) -> dict[int, Mask]:
        """Return the masks of several objects of a frame, by object id, in one pass."""
        asked = self._checked(frame)
        for one in prompts.values():
            one.check(self.frames.shape)
        masks = self._asking.masks(asked, prompts, self._model.turns.interactive(), visible)
        self._keep(masks.values())
        return masks

    def prefer(self, frame: int, object_id: int, name: HypothesisName) -> None:
        """Let later prompts and propagations start from this reading of the last answer."""
        preferred = self._asking.prefer(frame, object_id, name)
        if preferred is not None:
            self._keep([preferred])

    def propagate(
        self,
        prompted: Mapping[Key[int], Prompts | Mask],
        frames: range | None = None,
    ) -> Generator[Mask, None, None]:
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
        known = {(self._checked(frame), i): one for (frame, i), one in prompted.items()}
        plan = Plan.of(known, asked)
        for frame in (min(asked), max(asked)):
            self._checked(frame)
        self._propagation.check(known)
        return self._propagate(plan, known)

    def everything(self, frame: int, region: Corners | None = None) -> Candidates:
        """Return all objects of a frame, or of a region of it, found without prompts."""
        asked = self._checked(frame)
        return self._detection.everything(asked, region, self._model.turns.interactive())

    def find(
        self,
        frame: int,
        text: str | None = None,
        exemplars: Sequence[Corners | Exemplar] = (),
        negatives: Sequence[Corners | Exemplar] = (),
        region: Corners | None = None,
    ) -> Candidates:
        """Return all objects of a frame that a text or exemplars describe.

        Parameters
        ----------
        frame : int
            Which frame is searched, and on which the boxes lie.
        text : str, optional
            Words for what is meant.
        exemplars, negatives : sequence of Box or Exemplar
            Objects that are meant, and others that are not; an `Exemplar` that is not positive
            counts as a negative wherever it stands.
        region : Box, optional
            Only objects whose middle is in it are returned.

        Raises
        ------
        ModelError
            If the model does not read texts, or no exemplars, or none of another model.
        """
        asked = self._checked(frame)
        concept = self._concept(text, exemplars, negatives)
        return self._detection.found(asked, concept, region, self._model.turns.interactive())

    def find_all(
        self,
        text: str | None = None,
        exemplars: Sequence[Corners | Exemplar] = (),
        negatives: Sequence[Corners | Exemplar] = (),
        frame: int = 0,
        region: Corners | None = None,
    ) -> Iterator[Candidates]:
        """Return what `find` returns, for every frame of the stack; boxes lie on ``frame``."""
        shown = self._checked(frame)
        concept = self._concept(text, exemplars, negatives)
        return self._found_on_all(shown, concept, region)

    def exemplar(self, frame: int, box: Corners) -> Exemplar:
        """Return the object in a box of a frame, to find similar ones on any image.

        Raises
        ------
        ModelError
            If the model finds nothing by exemplars.
        """
        shown = self._checked(frame)
        return self._detection.exemplar(shown, box, self._model.turns.interactive())

    def suggestions(
        self, candidates: Candidates, positions: Sequence[int]
    ) -> list[tuple[str, float]]:
        """Return which phrases fit some candidates, with shares in 0..1, the best first."""
        self._checked(candidates.frame)
        return self._detection.suggestions(candidates, positions)

    @property
    def prefetch(self) -> Prefetch:
        """What is known of frames that nobody has asked about yet, and what they take."""
        return self._prefetch

    def is_ready(self, frame: int) -> bool:
        """Whether the embedding of a frame is known, so that a click is answered at once."""
        return self._prefetch.is_ready(self._checked(frame))

    def encode(self, frames: Iterable[int] | None = None) -> Generator[int, None, None]:
        """Embed frames ahead, by default all, and yield each once its embedding is kept.

        Frames that are ready are passed over. Clicks on other frames go first.

        Raises
        ------
        FramesError
            If the frames are too large to be embedded as a whole.
        """
        if self.frames.is_large:
            raise FramesError(
                "Frames as large as these are looked at in parts, around what you click: there is "
                "nothing to encode ahead."
            )
        asked = range(self.frames.count) if frames is None else frames
        return self._encode([self._checked(frame) for frame in asked])

    def remove(self, object_id: int) -> None:
        """Forget what was said about an object; its results on disk stay."""
        self._asking.forget(object_id)

    def reset(self) -> None:
        """Forget what was said about all objects; results on disk stay."""
        self._asking.forget_all()

    def close(self) -> None:
        """End the session, once all that it keeps is written; what is on disk stays."""
        self.reset()
        self._is_open = False
        self._model.embeddings.finish()

    def _propagate(
        self, plan: Plan, prompted: Mapping[Key[int], Prompts | Mask]
    ) -> Generator[Mask, None, None]:
        with closing(self._propagation.masks(plan, prompted, self._checked)) as steps:
            for masks in steps:
                self._keep(masks)
                yield from masks

    def _encode(self, frames: Iterable[int]) -> Generator[int, None, None]:
        with closing(self._prefetch.encode(frames)) as done:
            for frame in done:
                yield frame
                self._checked(frame)

    def _keep(self, masks: Iterable[Mask]) -> None:
        if self._results is not None:
            for mask in masks:
                self._results.write(mask)

    def _checked(self, frame: int) -> int:
        """Return a frame of the stack as a plain integer, which NumPy's are not."""
        if not self._is_open:
            raise Sam3Error("This session is closed: open the image again.")
        try:
            plain = int(index(frame))
        except TypeError as error:
            raise FramesError(f"A frame is a whole number, not {frame!r}: count from 0.") from error
        self.frames.check(plain)
        return plain

    def _concept(
        self,
        text: str | None,
        exemplars: Sequence[Corners | Exemplar],
        negatives: Sequence[Corners | Exemplar],
    ) -> Concept:
        return self._detection.checked(Concept.of(text, exemplars, negatives))

    def _found_on_all(
        self, shown: int, concept: Concept, region: Corners | None
    ) -> Iterator[Candidates]:
        carried = self._detection.carried(shown, concept, self._model.turns.background())
        for frame in range(self.frames.count):
            self._checked(frame)
            yield self._detection.found(frame, carried, region, self._model.turns.background())
