"""SAM 3 as published, in one file, made into a folder that transformers reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from .. import without_triton  # noqa: F401  before transformers imports it
from .checkpoints import CONFIG
from .conversion_names import Rule, assembled
from .conversion_reading import read_pickled
from .conversion_sam3_detector import DETECTOR_RULES, UNUSED_IN_DETECTOR
from .conversion_sam3_tracker import TRACKER_RULES
from .conversion_tokenizer import tokenizer_files
from .conversion_writing import Progress, write_folder

from transformers import (  # isort: skip
    Sam2VideoVideoProcessor,
    Sam3ImageProcessor,
    Sam3VideoConfig,
    Sam3VideoModel,
)

RULES: tuple[Rule, ...] = (*DETECTOR_RULES, *TRACKER_RULES)
HALF = [0.5, 0.5, 0.5]  # mean and deviation of each channel


def convert_sam3(
    path: Path, folder: Path, progress: Progress, config: Sam3VideoConfig | None = None
) -> Path:
    """Convert the published file; ``config`` is that of another size of the model.

    Raises
    ------
    WeightsError
        If the file is not SAM 3, whole and unchanged.
    StorageError
        If the folder cannot be written.
    """
    wanted = Sam3VideoConfig() if config is None else config
    with torch.device("meta"):
        model = Sam3VideoModel(wanted)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    tensors = assembled(path, shapes, read_pickled(path), RULES, UNUSED_IN_DETECTOR)
    wanted.architectures = [Sam3VideoModel.__name__]
    texts = {CONFIG: wanted.to_json_string(), "processor_config.json": _processors(wanted)}
    texts |= tokenizer_files(path.parent)
    return write_folder(folder, tensors, texts, progress)


def _processors(config: Sam3VideoConfig) -> str:
    shape: Any = config.to_dict()
    side = shape["tracker_config"]["image_size"]
    size, mask = {"height": side, "width": side}, config.low_res_mask_size
    images = Sam3ImageProcessor(size=size, mask_size={"height": mask, "width": mask})
    videos = Sam2VideoVideoProcessor(size=size, image_mean=HALF, image_std=HALF)
    written = {
        "image_processor": json.loads(images.to_json_string()),
        "video_processor": json.loads(videos.to_json_string()),
        "processor_class": "Sam3VideoProcessor",
        "target_size": side,
    }
    return json.dumps(written, indent=2)
