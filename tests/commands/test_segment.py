from __future__ import annotations

import csv

import numpy as np
import pytest
from skimage.io import imsave
from tifffile import imread, imwrite

from napari_sam3 import commands
from napari_sam3.engine import Clip, Engine, EnhancedPhrases, Prompts
from napari_sam3.io import open_image
from tests.backends import DiskBackend, disk_frames
from tests.clips import ColourModel

CENTRES = [(20, 20), (22, 24), (24, 28)]


@pytest.fixture
def movie(tmp_path, monkeypatch):
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, *_, **__: cls(DiskBackend())))
    path = tmp_path / "movie.tif"
    imwrite(path, disk_frames(CENTRES), photometric="minisblack")
    return path


def test_points_and_boxes_are_an_object_each(movie, tmp_path):
    output = tmp_path / "labels.tif"
    prompts = ["--points", "20,20", "--points", "50,50", "--box", "2,40,12,60"]

    commands.main(["segment", str(movie), *prompts, "-o", str(output)])

    labels = imread(output)
    assert labels.shape == (3, 64, 64)
    assert (labels[0, 20, 20], labels[0, 50, 50], labels[0, 7, 50]) == (1, 2, 3)
    assert not labels[1:].any()


def test_objects_are_propagated_on_request(movie, tmp_path):
    table = tmp_path / "cells.csv"

    commands.main(
        ["segment", str(movie), "--points", "20,20", "--propagate", "--table", str(table)]
    )

    labels = imread(movie.with_name("movie-labels.tif"))
    assert [labels[frame][centre] for frame, centre in enumerate(CENTRES)] == [1, 1, 1]
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["frame"] for row in rows] == ["0", "1", "2"]
    assert float(rows[2]["row"]) == pytest.approx(24, abs=0.5)


def test_without_prompts_everything_is_outlined(movie):
    commands.main(["segment", str(movie), "--frame", "1"])

    labels = imread(movie.with_name("movie-labels.tif"))
    assert set(np.unique(labels[1])) == {0, 1}
    assert labels[1][CENTRES[1]] == 1


def test_detected_objects_are_propagated_too(movie):
    commands.main(["segment", str(movie), "--propagate"])

    labels = imread(movie.with_name("movie-labels.tif"))
    assert [labels[frame][centre] for frame, centre in enumerate(CENTRES)] == [1, 1, 1]


def test_an_image_gives_labels_of_its_shape(movie, tmp_path):
    image = tmp_path / "image.png"
    imsave(image, disk_frames(CENTRES)[0], check_contrast=False)

    commands.main(["segment", str(image), "--points", "20,20"])

    assert imread(tmp_path / "image-labels.tif").shape == (64, 64)


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_labels_of_more_objects_than_16_bits_hold_are_written(movie, tmp_path, monkeypatch, ending):
    many = {65_536: Prompts(points=[(20, 20)])}
    monkeypatch.setattr("napari_sam3.commands.segment._prompts", lambda _: many)
    output = tmp_path / f"labels{ending}"

    commands.main(["segment", str(movie), "--points", "20,20", "-o", str(output)])

    labels = open_image(output)
    assert labels.levels[0][0, 20, 20] == 65_536
    labels.close()


def test_zarr_labels_lie_on_their_image(movie, tmp_path):
    imwrite(
        movie,
        disk_frames(CENTRES).astype(np.float32),
        imagej=True,
        resolution=(4, 2),
        metadata={"axes": "ZYX", "spacing": 3.0, "unit": "um"},
    )

    commands.main(["segment", str(movie), "--points", "20,20", "-o", str(tmp_path / "labels.zarr")])

    labels = open_image(tmp_path / "labels.zarr")
    assert (labels.axes, labels.scale) == ("zyx", (3.0, 0.5, 0.25))
    assert labels.units == ("micrometer",) * 3


@pytest.mark.parametrize("point", ["20", "20,20,20", "a,b"])
def test_a_point_has_two_numbers(movie, point, capsys):
    with pytest.raises(SystemExit):
        commands.main(["segment", str(movie), "--points", point])

    assert "ROW,COL" in capsys.readouterr().err


def test_objects_are_detected_by_text_with_a_text_model(movie, monkeypatch):
    phrases = EnhancedPhrases({}, ("{}",), ("background",))
    loaded = []
    clip = Clip(ColourModel(), phrases)
    monkeypatch.setattr(
        Clip, "load", classmethod(lambda _, *options: loaded.append(options) or clip)
    )
    monkeypatch.setattr(
        Clip, "similarities", lambda _, __, candidates, ___: np.full(len(candidates), 0.9)
    )

    commands.main(["segment", str(movie), "--text", "disk, not dust", "--clip", "biomed"])

    labels = imread(movie.with_name("movie-labels.tif"))
    assert loaded == [("biomed", "auto")]
    assert labels[0][CENTRES[0]] == 1


def test_text_without_a_text_model_is_refused_with_advice(movie, capsys):
    code = commands.main(["segment", str(movie), "--text", "disk"])

    assert code == 2
    assert "choose a text model" in capsys.readouterr().err
