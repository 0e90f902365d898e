"""Folders of images with ground truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from skimage.io import imsave

from tests.backends import ellipse

SHAPE = (64, 64)


def two_disks() -> np.ndarray:
    """Return labels of two disks, 3 and 7."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[ellipse(SHAPE, (20, 20), (6, 6))] = 3
    labels[ellipse(SHAPE, (44, 40), (6, 6))] = 7
    return labels


def write_item(folder: Path, labels: np.ndarray, **metadata: str) -> Path:
    """Write an image with its labels, and return the folder that holds its folder."""
    folder.mkdir(parents=True)
    imsave(folder / "image.tif", (labels > 0).astype(np.uint8) * 200 + 20, check_contrast=False)
    imsave(folder / "labels.tif", labels, check_contrast=False)
    (folder / "meta.json").write_text(json.dumps(metadata))
    return folder.parent
