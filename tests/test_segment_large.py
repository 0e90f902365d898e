"""The command line on images larger than memory ought to be, written here as real files."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from tifffile import imread

from napari_sam3 import commands as cli
from napari_sam3.engine import Engine
from napari_sam3.io import open_image
from tests.backends import DiskBackend
from tests.large_files import CHUNK, TRUTH, WRITERS

SMALL = 3 * CHUNK  # pixels a side: large for the engine, quick to write
LARGE = 33 * CHUNK  # of 16 bits: 2.3 GB
MEMORY = 1.2 * 2**30  # bytes; the engine alone, with torch, takes half of it

big = pytest.mark.skipif(
    os.environ.get("NAPARI_SAM3_LARGE") != "1", reason="writes files of 2 GB: NAPARI_SAM3_LARGE=1"
)


@pytest.fixture(params=WRITERS)
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, *_, **__: cls(DiskBackend())))
    return WRITERS[request.param](tmp_path / request.param, SMALL)


def test_labels_of_a_large_image_are_ome_zarr(small: Path) -> None:
    cli.main(["segment", str(small), "--points", "2000,1500", "--points", "2500,40"])

    labels = zarr.open_group(small.with_name("slide-labels.zarr"), mode="r")
    assert [labels[level].shape for level in "01"] == [(SMALL, SMALL), (SMALL // 2, SMALL // 2)]
    assert (labels["0"][2000, 1500], labels["0"][2500, 40]) == (1, 2)
    assert (labels["1"][1000, 750], labels["1"][1250, 20]) == (1, 2)
    assert "image-label" in labels.attrs["ome"]
    geometry = open_image(small).geometry
    assert geometry.scale[1] == 0.5
    assert open_image(small.with_name("slide-labels.zarr")).geometry == geometry


def test_labels_of_a_large_image_are_a_tiff_where_that_is_asked_for(
    small: Path, tmp_path: Path
) -> None:
    cli.main(["segment", str(small), "--points", "2000,1500", "-o", str(tmp_path / "labels.tif")])

    labels = imread(tmp_path / "labels.tif")
    assert labels.shape == (SMALL, SMALL)
    assert labels[2000, 1500] == 1


@big
@pytest.mark.parametrize("name", WRITERS)
def test_an_image_of_two_gigabytes_is_segmented_in_little_memory(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, LARGE)
    cell = np.bincount(TRUTH[TRUTH > 0]).argmax() == TRUTH
    corner = np.array([70, 90]) * 256
    row, col = np.argwhere(cell).mean(axis=0).round().astype(int) + corner

    command = "import sys; from napari_sam3.commands import main; main(sys.argv[1:])"
    prompt = ["segment", str(path), "--points", f"{row},{col}"]
    subprocess.run([sys.executable, "-c", command, *prompt], check=True)

    labels = zarr.open_group(tmp_path / "slide-labels.zarr", mode="r")["0"]
    found = labels[70 * 256 : 71 * 256, 90 * 256 : 91 * 256] == 1
    assert (found & cell).sum() / (found | cell).sum() > 0.5
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak < MEMORY
