"""micro-sam as a contender; runs in an environment of its own, where napari-sam3 is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from contest import Task, arguments, enter
from micro_sam.multi_dimensional_segmentation import segment_mask_in_volume
from micro_sam.util import get_sam_model, precompute_image_embeddings, set_precomputed
from numpy.typing import NDArray
from segment_anything import sam_model_registry

CHECKPOINT = "random.pt"
EMBEDDINGS = "embeddings.zarr"
SEED = 0
NEVER = -1.0
"""No overlap of two masks is so small that an object is given up."""


class MicroSam:
    """Asks micro-sam as its annotators do, through its Python interface."""

    def __init__(self, predictor: Any, task: Task) -> None:
        self._predictor = predictor
        self._task = task
        self._embeddings: Any = None
        self._seen: int | None = None  # the frame that was set last

    def warm_up(self) -> None:
        """Embed an image and click on it, and forget it."""
        self._predictor.set_image((255 * self._task.image(0)).astype(np.uint8))
        self._outline(self._task.objects[0])

    def embed(self) -> None:
        """Embed all frames into a zarr file, or open the one that is there, and take each up."""
        self._embeddings = precompute_image_embeddings(
            self._predictor,
            self._task.movie,
            save_path=str(self._task.folder / EMBEDDINGS),
            ndim=3,
            verbose=False,
        )
        for frame in range(len(self._task.movie)):
            self._see(frame)

    def click(self, frame: int, point: NDArray[np.int64]) -> None:
        """Outline what lies at a point, (row, col), of a frame."""
        if frame != self._seen:
            self._see(frame)
        self._outline(point)

    def propagate(self) -> int:
        """Follow the objects through all frames and return how many masks have a pixel."""
        return sum(self._propagate(point) for point in self._task.objects)

    def _propagate(self, point: NDArray[np.int64]) -> int:
        """Outline an object on the first frame, and project its mask from frame to frame."""
        volume = np.zeros(self._task.movie.shape, np.uint8)
        self._see(0)
        volume[0] = self._outline(point)
        segment_mask_in_volume(
            volume,
            self._predictor,
            self._embeddings,
            segmented_slices=np.array([0]),
            stop_lower=False,
            stop_upper=False,
            iou_threshold=NEVER,
            projection="mask",
        )
        return int(volume.any((1, 2)).sum())

    def _see(self, frame: int) -> None:
        set_precomputed(self._predictor, self._embeddings, i=frame)
        self._seen = frame

    def _outline(self, point: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the best of three masks, (H, W)."""
        masks, scores, _ = self._predictor.predict(
            point_coords=point[None, ::-1].astype(np.float32),
            point_labels=np.ones(1, np.int64),
            multimask_output=True,
        )
        return masks[scores.argmax()]


def predictor_of(model: str, folder: Path, device: str) -> Any:
    """Write a checkpoint of random weights, the same ones in every run, and load it."""
    checkpoint = folder / CHECKPOINT
    if not checkpoint.exists():
        torch.manual_seed(SEED)
        torch.save(sam_model_registry[model]().state_dict(), checkpoint)
    return get_sam_model(model, device=device, checkpoint_path=str(checkpoint))


def main() -> None:
    """Compete as asked on the command line."""
    asked = arguments().parse_args()
    task = Task.read(asked)
    enter(MicroSam(predictor_of(asked.model, task.folder, asked.device), task), task, asked.reopen)


if __name__ == "__main__":
    main()
