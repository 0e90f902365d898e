"""A table of measurements as comma-separated values."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ..storage import UNWRITABLE, storing_in
from ..values import Mask

COLUMNS = ("object", "frame", "score", "area", "row", "col")


class Measurements:
    """A table with a row for every mask, written as the masks come: a stopped run keeps its rows.

    Parameters
    ----------
    path : Path
        Where the table is written. The score is 0..1, the area in pixels, row and col are those of
        the centre in pixels.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with storing_in(path, errors=UNWRITABLE), path.open("w", newline="", encoding="utf-8") as f:
            csv.writer(f).writerow(COLUMNS)

    def add(self, mask: Mask) -> None:
        """Append the row of a mask."""
        row = (mask.object_id, mask.frame, f"{mask.score:.3f}", mask.area, *_centre(mask))
        with (
            storing_in(self.path, errors=UNWRITABLE),
            self.path.open("a", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerow(row)


def _centre(mask: Mask) -> tuple[str, str]:
    rows, cols = np.nonzero(mask.crop)
    if not len(rows):
        return "", ""
    return f"{rows.mean() + mask.box.top:.2f}", f"{cols.mean() + mask.box.left:.2f}"
