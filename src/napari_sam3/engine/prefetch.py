"""Reading and encoding frames before they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from .images.frames import Window
from .images.model_input import EmbeddingKey, ModelInput
from .model import Model
from .scheduling import Cost

PREFETCH_REACH = 8
"""Frames on either side of the current one that are encoded in the background."""


class Prefetch:
    """Encodes frames of one stack in the background, each in a turn of its own or in batches."""

    def __init__(self, model: Model, stack: ModelInput) -> None:
        self._model = model
        self._stack = stack
        self._is_recognised = False  # whether entries on disk were compared with the stack

    @property
    def cost(self) -> Cost | None:
        """What a frame of this stack costs the model; None before the first one."""
        frames, latest = self._stack.frames, self._model.latest
        cost = self._model.batch_encoder.cost(frames.shape)
        if cost is not None:
            return cost
        if latest is not None and self._is_own(latest[0]):
            return Cost(None, latest[1].nbytes)
        nbytes = self._model.embeddings.stored_bytes(frames)
        return None if nbytes is None else Cost(None, nbytes)

    @property
    def quota(self) -> int:
        """Bytes that embeddings of this stack may occupy, in memory or on disk."""
        return max(self._model.embeddings.max_bytes, self.disk_quota)

    @property
    def disk_quota(self) -> int:
        """Bytes that embeddings of this stack may occupy on disk."""
        return self._model.embeddings.disk_caches.quota(self._stack)

    @property
    def under_way(self) -> frozenset[int]:
        """Frames of this stack that are being encoded."""
        if self._model.monitor.progress is None:
            return frozenset()
        keys = [key for key in self._model.turns.keys if isinstance(key, EmbeddingKey)]
        return frozenset(key.frame for key in keys if self._is_own(key))

    @property
    def is_worth_recognising(self) -> bool:
        """Whether there may be embeddings on disk that are not known yet; see `recognise`."""
        disk_caches = self._model.embeddings.disk_caches
        return not self._is_recognised and disk_caches.has_folder(self._stack)

    def is_ready(self, frame: int) -> bool:
        """Whether the embedding of a frame is cached."""
        return self._model.is_ready(self._input(frame))

    def neighbours(self, frame: int, heading: int) -> list[int]:
        """Return the frames around one that are worth encoding and not ready, nearest first.

        They are so few that they fit into half of the memory. ``heading`` is 1 or -1, the direction
        in which frames are browsed.
        """
        cost = self.cost
        if cost is None or self._stack.frames.is_large:
            return []
        reach = reach_within(self._model.embeddings.max_bytes // 2, cost, PREFETCH_REACH)
        nearest = order_around(frame, self._stack.frames.count, reach, heading)
        return [index for index in nearest if not self.is_ready(index)]

    def encode(self, frames: Iterable[int]) -> Generator[int, None, None]:
        """Encode the frames that are not ready, and yield each once its embedding is cached."""
        remaining = deque(frames)
        with FrameReader(self._model.is_ready) as reader:
            while batch := self._next_batch(remaining):
                inputs = [reader.prefetched(self._input(frame)) for frame in batch]
                next_inputs = [self._input(frame) for frame in islice(remaining, len(batch))]
                reader.expect(*inputs, *next_inputs)
                self._model.encode(inputs, self._model.turns.background())
                yield from batch

    def recognise(self) -> Generator[int, None, None]:
        """Read the frames that seem to have embeddings on disk, and yield each that was read.

        Embeddings on disk are named by pixels, so nothing is known of a frame that was not read.
        Only frames are read of which there is an entry, made of a stack of the same shape.
        """
        embeddings, revision = self._model.embeddings, self._model.backend.revision
        for frame in embeddings.disk_caches.unread_frames(self._stack, revision):
            embeddings.recognise(self._input(frame), revision)
            yield frame
        self._is_recognised = True

    def _next_batch(self, remaining: deque[int]) -> list[int]:
        """Take as many frames that are not ready as go through the model together."""
        size = self._model.batch_encoder.size(self._stack.frames.shape)
        batch: list[int] = []
        while remaining and len(batch) < size:
            frame = remaining.popleft()
            if frame not in batch and not self.is_ready(frame):
                batch.append(frame)
        return batch

    def _is_own(self, key: EmbeddingKey) -> bool:
        return key.frames == self._stack.frames.token and key.window is None

    def _input(self, frame: int) -> ModelInput:
        return replace(self._stack, frame=frame)


def encode_together(model: Model, model_inputs: Sequence[ModelInput]) -> None:
    """Encode the model inputs that are needed next in one batch, once the first is not ready.

    A single one is not encoded here, and neither are more than fit into half of the memory.
    """
    if len(model_inputs) < 2 or model.is_ready(model_inputs[0]):
        return
    cost = model.batch_encoder.cost(model_inputs[0].frames.shape)
    if cost is not None and cost.nbytes * len(model_inputs) <= model.embeddings.max_bytes // 2:
        missing = [each for each in model_inputs if not model.is_ready(each)]
        model.encode(missing, model.turns.background())


def order_around(frame: int, count: int, reach: int, heading: int = 1) -> list[int]:
    """Return a frame and those around it, the nearest first.

    Parameters
    ----------
    frame : int
        The current frame.
    count : int
        Frames of the stack.
    reach : int
        How many frames on either side.
    heading : int
        The direction in which frames are browsed; of two equally near frames its own comes first.
    """
    forward = 1 if heading >= 0 else -1
    nearest = [frame]
    for distance in range(1, reach + 1):
        nearest += [frame + forward * distance, frame - forward * distance]
    return [index for index in nearest if 0 <= index < count]


def reach_within(nbytes: int, cost: Cost, max_reach: int) -> int:
    """Return how many frames on either side of one fit into so many bytes with it."""
    return max(0, min(max_reach, (nbytes // max(cost.nbytes, 1) - 1) // 2))


InputKey = tuple[int, Window | None]
"""Names a model input of a stack by its frame and window."""


class FrameReader:
    """Reads model inputs of a stack in a thread of its own; use it in a ``with``.

    The calling thread is busy encoding, so the next frames are read beside it. Nothing is kept but
    what `expect` named last.

    Parameters
    ----------
    is_ready : callable
        Whether a model input need not be read because its embedding is cached.
    """

    def __init__(self, is_ready: Callable[[ModelInput], bool]) -> None:
        self._is_ready = is_ready
        self._thread = ThreadPoolExecutor(1, "napari-sam3 reads frames")
        self._pending: dict[InputKey, Future[NDArray[Any]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pending.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def prefetched(self, model_input: ModelInput) -> ModelInput:
        """Return the same model input, which takes pixels that were read before; so do copies."""
        return _PrefetchedInput(
            model_input.frames,
            model_input.contrast,
            model_input.frame,
            model_input.window,
            reader=self,
        )

    def expect(self, *model_inputs: ModelInput) -> None:
        """Begin to read the model inputs that are needed next, in this order."""
        wanted = {_input_key(each): each for each in model_inputs if self._may_be_on_disk(each)}
        pending = self._pending
        self._pending = {
            key: pending[key] if key in pending else self._thread.submit(ModelInput.read, each)
            for key, each in wanted.items()
        }

    def pixels(self, model_input: ModelInput) -> NDArray[Any]:
        """Return what is stored of a model input, (H, W, C), as soon as it is read.

        An error in reading a frame is raised here, and not while an earlier frame is encoded.
        """
        pending = self._pending.pop(_input_key(model_input), None)
        return ModelInput.read(model_input) if pending is None else pending.result()

    def _may_be_on_disk(self, model_input: ModelInput) -> bool:
        is_too_large = model_input.frames.is_large and model_input.window is None
        return not is_too_large and not self._is_ready(model_input)


@dataclass(frozen=True, slots=True, eq=False)
class _PrefetchedInput(ModelInput):
    """A model input whose pixels may have been read already."""

    reader: FrameReader = field(kw_only=True)

    def read(self) -> NDArray[Any]:
        return self.reader.pixels(self)


def _input_key(model_input: ModelInput) -> InputKey:
    return model_input.frame, model_input.window
