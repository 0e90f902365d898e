"""The public face of one opened stack: segment, propagate, find, encode."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from operator import index

from ..storage import SessionFolder
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
from .images.frames import Frames, no_frame
from .images.model_input import ModelInput
from .interactive import InteractiveSegmentation
from .model import Model
from .prefetch import Prefetch
from .progress import EncodingProgress
from .propagation import Plan, Propagation


class Session:
    """Segments, propagates and finds objects on the frames of one stack, seen with one contrast.

    Made by `Engine.open`. A frame is an index in the stack, from 0. Coordinates are (row, col) in
    pixels of the frame, with pixel centres at integers; a box is (row, col, row, col) of two
    opposite corners. Masks are read-only. Any thread may call any method.

    All methods that use the model raise `Sam3Error` after `close`, `FramesError` if there is no
    such frame or it cannot be read, `ModelError` if the model was unloaded or cannot do this, and
    `CancelledError` if `stop_encoding` was called meanwhile.

    Attributes
    ----------
    frames : Frames
        The stack.
    contrast : Contrast
        How its channels are composed into the images that the model sees.
    """

    def __init__(
        self, model: Model, frames: Frames, contrast: Contrast, folder: SessionFolder | None = None
    ) -> None:
        self.frames = frames
        self.contrast = contrast
        self._model = model
        self._folder = folder
        stack = ModelInput(frames, contrast, 0)
        self._interactive = InteractiveSegmentation(model, stack)
        self._propagation = Propagation(model, stack, self._interactive)
        self._detection = Detection(model, stack)
        self._prefetch = Prefetch(model, stack)
        self._is_open = True

    @property
    def model_description(self) -> dict[str, str]:
        """Name and revision of the model."""
        return self._model.description

    def segment(
        self, frame: int, prompts: Prompts, object_id: int = 1, visible: Corners | None = None
    ) -> Mask:
        """Return the mask of the object that the prompts describe.

        Prompts that extend the last ones for the same object and frame refine its mask.

        Parameters
        ----------
        frame : int
            Index in the stack.
        prompts : Prompts
            Points, boxes and a mask, in pixels of the frame.
        object_id : int
            The object that the prompts belong to.
        visible : (row, col, row, col), optional
            What the user sees of the frame. Of a large frame only a window around the prompts is
            encoded; this decides at which resolution.

        Returns
        -------
        Mask
            ``pixels`` is (H, W) bool, ``score`` the predicted intersection over union in 0..1, and
            ``alternatives`` are up to three mask hypotheses, best first.

        Raises
        ------
        PromptError
            If the prompts are empty or do not fit the frame.
        """
        return self.segment_many(frame, {object_id: prompts}, visible)[object_id]

    def segment_many(
        self, frame: int, prompts: Mapping[int, Prompts], visible: Corners | None = None
    ) -> dict[int, Mask]:
        """Return the masks of several objects of a frame, by object id, in one decoder batch.

        Parameters and errors are those of `segment`.
        """
        checked = self._checked(frame)
        for given in prompts.values():
            given.check(self.frames.shape)
        turn = self._model.turns.interactive()
        masks = self._interactive.segment(checked, prompts, turn, visible)
        self._write(masks.values())
        return masks

    def prefer(self, frame: int, object_id: int, name: HypothesisName) -> None:
        """Let later prompts and propagations start from this mask hypothesis of the last mask."""
        preferred = self._interactive.prefer(frame, object_id, name)
        if preferred is not None:
            self._write([preferred])

    def propagate(
        self,
        prompted: Mapping[Key[int], Prompts | Mask],
        frames: range | None = None,
    ) -> Generator[Mask, None, None]:
        """Propagate objects through the stack and yield their masks frame by frame.

        Parameters
        ----------
        prompted : mapping of (frame, object id) to Prompts or Mask
            Where each object is known. A mask is taken as it is; an empty one ends the object.
        frames : range, optional
            The frames whose masks are yielded, by default all: forward first, then backward.

        Yields
        ------
        Mask
            Each frame of an object, reached from the nearest frame where it is prompted. Once an
            object was absent from two frames in a row, its masks are empty with a score of 0.

        Raises
        ------
        PromptError
            If nothing is prompted, the range is empty, or prompts or masks do not fit the frames.
        """
        wanted = range(self.frames.count) if frames is None else frames
        known = {(self._checked(frame), i): given for (frame, i), given in prompted.items()}
        plan = Plan.of(known, wanted)
        for frame in (min(wanted), max(wanted)):
            self._checked(frame)
        self._propagation.check(known)
        return self._propagate(plan, known)

    def everything(self, frame: int, region: Corners | None = None) -> Candidates:
        """Return all objects of a frame, detected without prompts.

        Parameters
        ----------
        frame : int
            Index in the stack.
        region : (row, col, row, col), optional
            Only objects whose centre is in it are returned.

        Returns
        -------
        Candidates
            ``labels(threshold)`` draws those of at least this score, (H, W).
        """
        checked = self._checked(frame)
        return self._detection.everything(checked, region, self._model.turns.interactive())

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
            A phrase for the objects, such as "nucleus".
        exemplars, negatives : sequence of (row, col, row, col) or Exemplar
            Boxes around such objects, and around others that are not meant; an `Exemplar` that is
            not positive counts as a negative in either.
        region : (row, col, row, col), optional
            Only objects whose centre is in it are returned.

        Raises
        ------
        ModelError
            If the model reads no texts, or no exemplars, or none of another model.
        PromptError
            If there is neither a text nor an exemplar, the text cannot be read, or a box lies
            outside the frame.
        """
        checked = self._checked(frame)
        concept = self._concept(text, exemplars, negatives)
        return self._detection.find(checked, concept, region, self._model.turns.interactive())

    def find_all(
        self,
        text: str | None = None,
        exemplars: Sequence[Corners | Exemplar] = (),
        negatives: Sequence[Corners | Exemplar] = (),
        frame: int = 0,
        region: Corners | None = None,
    ) -> Iterator[Candidates]:
        """Yield what `find` returns for every frame of the stack; boxes lie on ``frame``."""
        checked = self._checked(frame)
        concept = self._concept(text, exemplars, negatives)
        return self._find_all(checked, concept, region)

    def exemplar(self, frame: int, box: Corners) -> Exemplar:
        """Return the object in a box of a frame, to find similar ones on any image.

        Raises
        ------
        ModelError
            If the model reads no exemplars.
        PromptError
            If the box lies outside the frame, or is too large for it.
        """
        checked = self._checked(frame)
        return self._detection.exemplar(checked, box, self._model.turns.interactive())

    def suggestions(
        self, candidates: Candidates, positions: Sequence[int]
    ) -> list[tuple[str, float]]:
        """Return the phrases that fit some candidates, with their shares in 0..1, best first.

        Raises
        ------
        ModelError
            If there is no text model.
        """
        self._checked(candidates.frame)
        return self._detection.suggestions(candidates, positions)

    @property
    def prefetch(self) -> Prefetch:
        """What is known of encoding in the background: cost, quotas, neighbouring frames."""
        return self._prefetch

    def is_ready(self, frame: int) -> bool:
        """Whether the embedding of a frame is cached, so that a click needs no encoding."""
        return self._prefetch.is_ready(self._checked(frame))

    def encode(self, frames: Iterable[int] | None = None) -> Generator[int, None, None]:
        """Encode frames, by default all, and yield each once its embedding is cached.

        Frames that are ready are left out. Clicks on other frames go first.

        Raises
        ------
        FramesError
            If the frames are too large to be encoded as a whole.
        """
        if self.frames.is_large:
            raise FramesError(
                "Frames as large as these are encoded in parts, around what you click: there is "
                "nothing to encode in advance."
            )
        wanted = range(self.frames.count) if frames is None else frames
        return self._encode([self._checked(frame) for frame in wanted])

    @property
    def encoding_progress(self) -> EncodingProgress | None:
        """How far the model has come with the image that it encodes, of this session or not."""
        return self._model.monitor.progress

    def stop_encoding(self) -> None:
        """Stop encoding that image; whoever waits for it gets `CancelledError`."""
        self._model.monitor.cancel()

    def remove(self, object_id: int) -> None:
        """Drop what the model keeps of an object; its results on disk stay."""
        self._interactive.forget(object_id)

    def reset(self) -> None:
        """Drop what the model keeps of all objects; results on disk stay."""
        self._interactive.forget_all()

    def close(self) -> None:
        """End the session once its embeddings are written; what is on disk stays."""
        self.reset()
        self._is_open = False
        self._model.embeddings.finish()

    def _checked(self, frame: int) -> int:
        """Return a frame of the stack as a plain integer, which NumPy's are not."""
        if not self._is_open:
            raise Sam3Error("This session is closed: open the image again.")
        try:
            plain = int(index(frame))
        except TypeError as error:
            raise FramesError(f"A frame is a whole number, not {frame!r}: count from 0.") from error
        if not 0 <= plain < self.frames.count:
            raise no_frame(plain, self.frames.count)
        return plain

    def _concept(
        self,
        text: str | None,
        exemplars: Sequence[Corners | Exemplar],
        negatives: Sequence[Corners | Exemplar],
    ) -> Concept:
        return self._detection.checked(Concept.of(text, exemplars, negatives))

    def _propagate(
        self, plan: Plan, prompted: Mapping[Key[int], Prompts | Mask]
    ) -> Generator[Mask, None, None]:
        with closing(self._propagation.masks(plan, prompted, self._checked)) as steps:
            for masks in steps:
                self._write(masks)
                yield from masks

    def _find_all(
        self, frame: int, concept: Concept, region: Corners | None
    ) -> Iterator[Candidates]:
        by_exemplars = self._detection.with_exemplars(
            frame, concept, self._model.turns.background()
        )
        for each in range(self.frames.count):
            self._checked(each)
            turn = self._model.turns.background()
            yield self._detection.find(each, by_exemplars, region, turn)

    def _encode(self, frames: Iterable[int]) -> Generator[int, None, None]:
        with closing(self._prefetch.encode(frames)) as encoded:
            for frame in encoded:
                yield frame
                self._checked(frame)

    def _write(self, masks: Iterable[Mask]) -> None:
        if self._folder is not None:
            for mask in masks:
                self._folder.write_mask(mask)
