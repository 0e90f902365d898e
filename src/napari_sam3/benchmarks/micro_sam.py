"""The contender micro-sam; runs in the environment of micro-sam, without the engine."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .comparison import arguments, run
from .movies import Task

CHECKPOINT = "random.pt"
EMBEDDINGS = "embeddings.zarr"
SEED = 0
MIN_IOU = -1.0
"""No IoU of masks on adjacent frames is so small that an object is given up."""


class MicroSamContender:
    """Calls micro-sam as its annotators do, through its Python interface."""

    def __init__(self, predictor: Any, task: Task) -> None:
        self._predictor = predictor
        self._task = task
        self._util = import_module("micro_sam.util")  # is in no environment but its own
        self._stacks = import_module("micro_sam.multi_dimensional_segmentation")
        self._embeddings: Any = None
        self._current_frame: int | None = None

    def warm_up(self) -> None:
        """Encode an image and click on it."""
        self._predictor.set_image((255 * self._task.image(0)).astype(np.uint8))
        self._segment(self._task.objects[0])

    def encode(self) -> None:
        """Encode all frames into a zarr file, or open the file, and select each frame."""
        self._embeddings = self._util.precompute_image_embeddings(
            self._predictor,
            self._task.movie,
            save_path=str(self._task.folder / EMBEDDINGS),
            ndim=3,
            verbose=False,
        )
        for frame in range(len(self._task.movie)):
            self._select(frame)

    def click(self, frame: int, point: NDArray[np.int64]) -> None:
        """Segment the object at a point, (row, col), of a frame."""
        if frame != self._current_frame:
            self._select(frame)
        self._segment(point)

    def propagate(self) -> int:
        """Propagate the objects through all frames and return how many masks have a pixel."""
        return sum(self._propagate(point) for point in self._task.objects)

    def _propagate(self, point: NDArray[np.int64]) -> int:
        """Segment an object on the first frame, and project its mask from frame to frame."""
        volume = np.zeros(self._task.movie.shape, np.uint8)
        self._select(0)
        volume[0] = self._segment(point)
        self._stacks.segment_mask_in_volume(
            volume,
            self._predictor,
            self._embeddings,
            segmented_slices=np.array([0]),
            stop_lower=False,
            stop_upper=False,
            iou_threshold=MIN_IOU,
            projection="mask",
        )
        return int(volume.any((1, 2)).sum())

    def _select(self, frame: int) -> None:
        self._util.set_precomputed(self._predictor, self._embeddings, i=frame)
        self._current_frame = frame

    def _segment(self, point: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the best of three mask hypotheses, (H, W)."""
        masks, scores, _ = self._predictor.predict(
            point_coords=point[None, ::-1].astype(np.float32),
            point_labels=np.ones(1, np.int64),
            multimask_output=True,
        )
        return np.asarray(masks[scores.argmax()])


def load_predictor(model: str, folder: Path, device: str) -> Any:
    """Write a checkpoint of random weights, the same in every run, and load it."""
    checkpoint = folder / CHECKPOINT
    if not checkpoint.exists():
        torch.manual_seed(SEED)
        registry = import_module("segment_anything").sam_model_registry
        torch.save(registry[model]().state_dict(), checkpoint)
    load = import_module("micro_sam.util").get_sam_model
    return load(model, device=device, checkpoint_path=str(checkpoint))


def main() -> None:
    """Take the steps as the command line says."""
    options = arguments().parse_args()
    task = Task.read(options)
    predictor = load_predictor(options.model, task.folder, options.device)
    run(MicroSamContender(predictor, task), task, options.reopen)


if __name__ == "__main__":
    main()
