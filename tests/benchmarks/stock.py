"""The classes of transformers as a contender: one for images, one for videos."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from contest import Task, arguments, enter
from numpy.typing import NDArray
from transformers import Sam2ImageProcessor

from napari_sam3.benchmarks.sam_models import Shared, with_its_weights, with_random_weights
from napari_sam3.benchmarks.stock_models import FULL_SIZE, StockTrial, stock_models
from napari_sam3.engine.backends.sam.precision import autocast


class Stock:
    """Asks the classes as their documentation does, in the numbers that the engine would choose.

    They keep the embedding of the last frame alone. Image and video class share their weights,
    which two calls of ``from_pretrained`` would not.
    """

    def __init__(self, shared: Shared, task: Task) -> None:
        self._task = task
        self._device = shared.backend.device
        self._precision = shared.precision
        self._models = stock_models(shared.model, shared.tokenizer)
        self._trial: StockTrial

    def warm_up(self) -> None:
        """Embed an image and click on it, and forget it."""
        self._see(0)
        self.click(0, self._task.objects[0])

    def embed(self) -> None:
        """Embed all frames."""
        for frame in range(len(self._task.movie)):
            self._see(frame)

    def click(self, frame: int, point: NDArray[np.int64]) -> None:
        """Outline what lies at a point, (row, col), of the frame that was embedded last."""
        self._trial.click(point.tolist())

    def propagate(self) -> int:
        """Follow the objects through all frames and return how many masks have a pixel."""
        session = self._models.session(
            video_height=self._task.movie.shape[1],
            video_width=self._task.movie.shape[2],
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=torch.float32,
        )
        for number, point in enumerate(self._task.objects, start=1):
            said = {"point_coords": self._on_square(point), "point_labels": self._inside()}
            session.add_point_inputs(session.obj_id_to_idx(number), 0, said)
        session.obj_with_new_inputs = list(session.obj_ids)
        return sum(self._step(session, frame) for frame in range(len(self._task.movie)))

    def _see(self, frame: int) -> None:
        image = self._task.image(frame)
        self._trial = StockTrial(self._models, image, self._device, self._precision)
        self._trial.encode()

    def _step(self, session: object, frame: int) -> int:
        """Follow to one more frame, and draw the masks on it."""
        self._models.forget()  # the frame before
        session.add_new_frame(self._pixels(frame), frame)
        with torch.inference_mode(), autocast(self._device, self._precision):
            seen = self._models.videos(session, frame_idx=frame)
            shape = self._task.movie.shape[1:]
            drawn = Sam2ImageProcessor().post_process_masks([seen.pred_masks], [shape])[0]
        return int(drawn.cpu().flatten(1).any(1).sum())

    def _pixels(self, frame: int) -> torch.Tensor:
        channels = torch.from_numpy(self._task.image(frame)).permute(2, 0, 1)[None]
        side = self._models.side
        return 2 * F.interpolate(channels.to(self._device), (side, side), mode="bilinear") - 1

    def _on_square(self, point: NDArray[np.int64]) -> torch.Tensor:
        row, col = ((point + 0.5) / self._task.movie.shape[1:]).tolist()
        return torch.tensor([[[[col, row]]]]) * self._models.side

    def _inside(self) -> torch.Tensor:
        return torch.ones(1, 1, 1, dtype=torch.int32)


def shared_by(model: str, device: str) -> Shared:
    """Build a model at full size with random weights, or load a folder."""
    build = with_random_weights if model in FULL_SIZE else with_its_weights
    return build(model, device)


def main() -> None:
    """Compete as asked on the command line."""
    asked = arguments().parse_args()
    task = Task.read(asked)
    enter(Stock(shared_by(asked.model, asked.device), task), task, asked.reopen)


if __name__ == "__main__":
    main()
