"""Embedding frames before anybody asks about them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from .images.model_input import EmbeddingKey, ModelInput
from .images.windows import Window
from .model import Model
from .scheduling import Cost

Name = tuple[int, Window | None]
"""A picture of a stack: its frame, and the part of it."""


class FrameReader:
    """Reads pictures of a stack beside the thread that asks for them; use it in a ``with``.

    The one who asks is busy encoding, so reading on has to be done by somebody else: this has a
    thread of its own. Nothing is kept but what was expected last.

    Parameters
    ----------
    is_ready : callable
        Whether a picture need not be read, because its embedding is known.
    """

    def __init__(self, is_ready: Callable[[ModelInput], bool]) -> None:
        self._is_ready = is_ready
        self._reader = ThreadPoolExecutor(1, "napari-sam3 reads ahead")
        self._waiting: dict[Name, Future[NDArray[Any]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.clear()
        self._reader.shutdown(wait=False, cancel_futures=True)

    def picture(self, picture: ModelInput) -> ModelInput:
        """Return the same picture, which takes what was read of it ahead; so do its copies."""
        return _Expected(
            picture.frames, picture.contrast, picture.frame, picture.window, reader=self
        )

    def expect(self, *pictures: ModelInput) -> None:
        """Begin to read the pictures that are wanted next, in this order."""
        wanted = {_name(one): one for one in pictures if self._is_worth_it(one)}
        known = self._waiting
        self._waiting = {
            name: known[name] if name in known else self._reader.submit(ModelInput.read, one)
            for name, one in wanted.items()
        }

    def pixels(self, picture: ModelInput) -> NDArray[Any]:
        """Return what is stored of a picture, (H, W, C), as soon as it is read.

        What was wrong with a frame is raised here, and not while another one is looked at.
        """
        read = self._waiting.pop(_name(picture), None)
        return ModelInput.read(picture) if read is None else read.result()

    def _is_worth_it(self, picture: ModelInput) -> bool:
        is_too_large = picture.frames.is_large and picture.window is None
        return not is_too_large and not self._is_ready(picture)


@dataclass(frozen=True, slots=True, eq=False)
class _Expected(ModelInput):
    """A picture that may have been read already."""

    reader: FrameReader = field(kw_only=True)

    def read(self) -> NDArray[Any]:
        return self.reader.pixels(self)


def _name(picture: ModelInput) -> Name:
    return picture.frame, picture.window


PREFETCH_REACH = 8
"""Frames on either side of one that are embedded before anybody goes there."""


class Prefetch:
    """Embeds frames of one stack in the background, each in a turn of its own or a batch."""

    def __init__(self, model: Model, stack: ModelInput) -> None:
        self._model = model
        self._stack = stack
        self._is_recognised = False  # whether what may be on disk was compared with the stack

    @property
    def cost(self) -> Cost | None:
        """What a frame of this stack costs the model; None before the first one."""
        frames, latest = self._stack.frames, self._model.latest
        cost = self._model.batches.cost(frames.shape)
        if cost is not None:
            return cost
        if latest is not None and self._is_own(latest[0]):
            return Cost(None, latest[1].nbytes)
        nbytes = self._model.embeddings.kept_bytes(frames)
        return None if nbytes is None else Cost(None, nbytes)

    @property
    def room(self) -> int:
        """Bytes that embeddings of this stack may occupy, in memory or on disk."""
        return max(self._model.embeddings.max_bytes, self.disk_quota)

    @property
    def disk_quota(self) -> int:
        """Bytes that embeddings of this stack may occupy on disk."""
        return self._model.embeddings.disk_caches.room(self._stack)

    @property
    def under_way(self) -> frozenset[int]:
        """Frames of this stack that the model embeds now."""
        if self._model.watch.encoding_progress is None:
            return frozenset()
        keys = [key for key in self._model.turns.pictures if isinstance(key, EmbeddingKey)]
        return frozenset(key.frame for key in keys if self._is_own(key))

    @property
    def is_worth_recognising(self) -> bool:
        """Whether there may be embeddings on disk of which nobody knows."""
        return not self._is_recognised and self._model.embeddings.disk_caches.keeps(self._stack)

    def neighbours(self, frame: int, heading: int) -> list[int]:
        """Return the frames around one that are worth embedding ahead, and not ready.

        They are few enough not to drive each other out of half of the memory.
        """
        cost = self.cost
        if cost is None or self._stack.frames.is_large:
            return []
        reach = reach_within(self._model.embeddings.max_bytes // 2, cost, PREFETCH_REACH)
        around = order_around(frame, self._stack.frames.count, reach, heading)
        return [one for one in around if not self.is_ready(one)]

    def is_ready(self, frame: int) -> bool:
        """Whether the embedding of a frame is known."""
        return self._model.is_ready(self._picture(frame))

    def encode(self, frames: Iterable[int]) -> Generator[int, None, None]:
        """Embed frames that are not ready, and yield each once its embedding is kept."""
        left = deque(frames)
        with FrameReader(self._model.is_ready) as reader:
            while batch := self._next(left):
                pictures = [reader.picture(self._picture(frame)) for frame in batch]
                following = [self._picture(frame) for frame in islice(left, len(batch))]
                reader.expect(*pictures, *following)
                self._model.embed(pictures, self._model.turns.background())
                yield from batch

    def recognise(self) -> Generator[int, None, None]:
        """Read the frames that seem to be embedded on disk, and yield each that was read.

        What is on disk is named after pixels, so that of a frame that was not read nobody knows.
        None is read but those of which something is there, made of a stack of the same shape.
        """
        embeddings, revision = self._model.embeddings, self._model.backend.revision
        for frame in embeddings.disk_caches.remembered(self._stack, revision):
            embeddings.recognise(self._picture(frame), revision)
            yield frame
        self._is_recognised = True

    def _next(self, left: deque[int]) -> list[int]:
        """Take as many frames that are not ready as go through the model together."""
        size = self._model.batches.size(self._stack.frames.shape)
        batch: list[int] = []
        while left and len(batch) < size:
            frame = left.popleft()
            if frame not in batch and not self.is_ready(frame):
                batch.append(frame)
        return batch

    def _is_own(self, key: EmbeddingKey) -> bool:
        return key.frames == self._stack.frames.token and key.window is None

    def _picture(self, frame: int) -> ModelInput:
        return replace(self._stack, frame=frame)


def embed_together(model: Model, pictures: Sequence[ModelInput]) -> None:
    """Embed pictures that come next in one pass, once the first of them is not ready.

    A single one is left to whoever asks about it, and so are more than memory can hold.
    """
    if len(pictures) < 2 or model.is_ready(pictures[0]):
        return
    cost = model.batches.cost(pictures[0].frames.shape)
    if cost is not None and cost.nbytes * len(pictures) <= model.embeddings.max_bytes // 2:
        missing = [one for one in pictures if not model.is_ready(one)]
        model.embed(missing, model.turns.background())


def order_around(frame: int, count: int, reach: int, heading: int = 1) -> list[int]:
    """Return the frames around one, itself first, then the nearest.

    Parameters
    ----------
    frame : int
        The one that is looked at.
    count : int
        Frames of the stack.
    reach : int
        How many frames on either side.
    heading : int
        The direction of travel; of two frames equally near the one ahead comes first.
    """
    forward = 1 if heading >= 0 else -1
    around = [frame]
    for distance in range(1, reach + 1):
        around += [frame + forward * distance, frame - forward * distance]
    return [one for one in around if 0 <= one < count]


def reach_within(nbytes: int, cost: Cost, most: int) -> int:
    """Return how many frames on either side of one fit into so many bytes with it, or fewer."""
    return max(0, min(most, (nbytes // max(cost.nbytes, 1) - 1) // 2))
