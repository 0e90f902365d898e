"""The contenders with the weights of this package: the engine, and the stock classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import Sam2ImageProcessor

from ..engine.backends.base import Backend
from ..engine.backends.sam.precision import autocast
from ..engine.cache.budgets import Budgets
from ..engine.engine import Engine
from ..engine.images.frames import Frames
from ..engine.loading import load_backend
from ..values import Prompts
from .comparison import Contender, arguments, run
from .movies import Task
from .sam_models import Shared, with_its_weights, with_random_weights
from .stock_models import FULL_SIZE, StockTrial, stock_models

MEMORY = 10**9
"""Bytes of embeddings in memory; there are more on disk."""
DISK = 100 * 10**9


class EngineContender:
    """Calls a session, as the dock and scripts do."""

    def __init__(self, backend: Backend, task: Task) -> None:
        self._engine = Engine(backend, Budgets(MEMORY, MEMORY, DISK))
        self._task = task
        self._session = self._engine.open(_lazy_frames(task.movie), task.folder / "ours.sam3")
        self._clicks = 0

    def warm_up(self) -> None:
        """Encode an image and click on it."""
        session = self._engine.open(np.array(self._task.movie[0]))
        session.segment(0, Prompts(points=[self._task.objects[0]]))
        session.close()

    def encode(self) -> None:
        """Encode all frames, until the last is on disk, too."""
        for _ in self._session.encode():
            pass
        self._engine.embeddings.finish()

    def click(self, frame: int, point: NDArray[np.int64]) -> None:
        """Segment the object at a point, (row, col), as a new object."""
        self._clicks += 1
        self._session.segment(frame, Prompts(points=[point]), object_id=1000 + self._clicks)

    def propagate(self) -> int:
        """Propagate the objects through all frames and return how many masks have a pixel."""
        points = enumerate(self._task.objects, start=1)
        prompts = {(0, number): Prompts(points=[point]) for number, point in points}
        return sum(bool(mask.area) for mask in self._session.propagate(prompts))


class StockContender:
    """Calls the stock classes as their documentation does, in the dtype of the engine.

    They keep the embedding of the last frame alone. Image and video class share their weights,
    which two calls of ``from_pretrained`` would not.
    """

    def __init__(self, shared: Shared, task: Task) -> None:
        self._task = task
        self._device = shared.backend.device
        self._precision = shared.precision
        self.models = stock_models(shared.model, shared.tokenizer)
        self._trial: StockTrial

    def warm_up(self) -> None:
        """Encode an image and click on it."""
        self._encode_frame(0)
        self.click(0, self._task.objects[0])

    def encode(self) -> None:
        """Encode all frames."""
        for frame in range(len(self._task.movie)):
            self._encode_frame(frame)

    def click(self, frame: int, point: NDArray[np.int64]) -> None:
        """Segment the object at a point, (row, col), of the frame that was encoded last."""
        self._trial.click(point.tolist())

    def propagate(self) -> int:
        """Propagate the objects through all frames and return how many masks have a pixel."""
        session = self.models.session_class(
            video_height=self._task.movie.shape[1],
            video_width=self._task.movie.shape[2],
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=torch.float32,
        )
        for number, point in enumerate(self._task.objects, start=1):
            labels = torch.ones(1, 1, 1, dtype=torch.int32)
            prompt = {"point_coords": self._on_input(point), "point_labels": labels}
            session.add_point_inputs(session.obj_id_to_idx(number), 0, prompt)
        session.obj_with_new_inputs = list(session.obj_ids)
        return sum(self._step(session, frame) for frame in range(len(self._task.movie)))

    def _encode_frame(self, frame: int) -> None:
        image = self._task.image(frame)
        self._trial = StockTrial(self.models, image, self._device, self._precision)
        self._trial.encode()

    def _step(self, session: Any, frame: int) -> int:
        """Propagate to a frame, and return how many masks have a pixel on it."""
        self.models.clear_cache()  # of the previous frame
        session.add_new_frame(self._pixels(frame), frame)
        processor: Any = Sam2ImageProcessor()
        with torch.inference_mode(), autocast(self._device, self._precision):
            output = self.models.video_model(session, frame_idx=frame)
            shape = self._task.movie.shape[1:]
            masks = processor.post_process_masks([output.pred_masks], [shape])[0]
        return int(masks.cpu().flatten(1).any(1).sum())

    def _pixels(self, frame: int) -> torch.Tensor:
        channels = torch.from_numpy(self._task.image(frame)).permute(2, 0, 1)[None]
        side = self.models.side
        return 2 * F.interpolate(channels.to(self._device), (side, side), mode="bilinear") - 1

    def _on_input(self, point: NDArray[np.int64]) -> torch.Tensor:
        row, col = ((point + 0.5) / self._task.movie.shape[1:]).tolist()
        return torch.tensor([[[[col, row]]]]) * self.models.side


def load_engine_model(model: str, device: str) -> Backend:
    """Build a model at full size with random weights, or load a folder or the embedded model."""
    if model in FULL_SIZE:
        return with_random_weights(model, device).backend
    return load_backend(model, device)


def load_shared_model(model: str, device: str) -> Shared:
    """Build a model at full size with random weights, or load a folder."""
    build = with_random_weights if model in FULL_SIZE else with_its_weights
    return build(model, device)


def _lazy_frames(movie: NDArray[np.uint16]) -> Frames:
    def read(frame: int) -> NDArray[Any]:
        return np.array(movie[frame])[..., None]

    return Frames(len(movie), movie.shape[1:], 1, read)


def main() -> None:
    """Take the steps as the command line says."""
    parser = arguments()
    parser.add_argument("--contender", choices=["engine", "stock"], required=True)
    options = parser.parse_args()
    task = Task.read(options)
    contender: Contender
    if options.contender == "engine":
        contender = EngineContender(load_engine_model(options.model, options.device), task)
    else:
        contender = StockContender(load_shared_model(options.model, options.device), task)
    run(contender, task, options.reopen)


if __name__ == "__main__":
    main()
