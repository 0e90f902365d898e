"""Images with ground truth for the evaluation."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from skimage.io import imread

from ...values import FramesError
from ..label_images import Labels, Pixels

Kind = Literal["image", "volume", "movie"]


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """An image or stack, and the true labels of its objects."""

    name: str
    kind: Kind
    frames: npt.NDArray[Any]  # (H, W), (H, W, 3), (F, H, W) or (F, H, W, C)
    labels: Labels  # (F, H, W), 0 is background; an object keeps its value
    group: str = ""  # of images whose means are reported together
    is_whole: bool = True  # whether every object is labelled

    @property
    def prompted_frame(self) -> int:
        """Frame that is prompted: the middle of a volume, else the first."""
        return len(self.labels) // 2 if self.kind == "volume" else 0

    def mask(self, frame: int, value: int) -> Pixels:
        """Return the pixels of an object, (H, W)."""
        return np.asarray(self.labels[frame] == value)


def read_items(images: Path, labels: Path | None, partial: Collection[str] = ()) -> list[Item]:
    """Read a folder of images with ground truth.

    Parameters
    ----------
    images : Path
        With ``labels``, a folder of images. Without, a folder of folders, each of which holds
        ``image.tif``, ``labels.tif`` and perhaps ``meta.json`` with "axes" and "modality".
    labels : Path, optional
        A folder of labels that have the names of their images, whatever their suffixes.
    partial : collection of str
        Words in the names of images on which some objects have no label.

    Raises
    ------
    FramesError
        If there is nothing to read, or labels do not fit their image.
    """
    if labels is None:
        folders = sorted(path.parent for path in images.glob("*/image.tif"))
        items = [
            _item(path / "image.tif", path / "labels.tif", path.name, partial) for path in folders
        ]
    else:
        paths = sorted(path for path in images.iterdir() if path.is_file())
        pairs = [(path, matching_file(path, labels)) for path in paths]
        items = [_item(image, truth, image.stem, partial) for image, truth in pairs if truth]
    if not items:
        raise FramesError(
            f"No images with ground truth in {images}: give a folder of images and one of labels "
            "with the same names, or a folder of */image.tif and */labels.tif."
        )
    return items


def matching_file(path: Path, folder: Path) -> Path | None:
    """Return the file of a folder that has the name of `path`, preferably with its suffix."""
    same = folder / path.name
    if same.is_file():
        return same
    candidates = sorted(folder.glob(f"{escape(path.stem)}.*"))  # "cell.ome.tif" is one of "cell"
    return next((file for file in candidates if file.stem == path.stem and file.is_file()), None)


def _item(image: Path, truth: Path, name: str, partial: Collection[str]) -> Item:
    metadata = _metadata(image.with_name("meta.json"))
    frames, labels = _read(image), _read(truth).astype(np.int32)
    if labels.ndim == 2:
        labels = labels[None]
    kind = _kind(labels, metadata)
    space = frames.shape[1:3] if kind != "image" else frames.shape[:2]
    if labels.ndim != 3 or labels.shape[1:] != space:
        raise FramesError(
            f"The labels {truth} have the shape {labels.shape}, the image {frames.shape}: they "
            "must cover the same pixels."
        )
    is_whole = not any(word in name for word in partial)
    return Item(name, kind, frames, labels, _group(name, metadata), is_whole)


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        return np.asarray(imread(path))
    except (OSError, ValueError) as error:
        raise FramesError(f"{path} cannot be read as an image ({error}).") from error


def _metadata(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return metadata


def _kind(labels: Labels, metadata: dict[str, Any]) -> Kind:
    if len(labels) == 1:
        return "image"
    return "movie" if "T" in metadata.get("axes", "") else "volume"


def _group(name: str, metadata: dict[str, Any]) -> str:
    """Separate nuclei of the Data Science Bowl, on which many models were trained."""
    if "modality" not in metadata:
        return ""
    words = " ".join([name, *(str(metadata.get(key, "")) for key in ("annotation", "source_repo"))])
    return "DSB nuclei" if "dsb" in words.lower() else "everything else"
