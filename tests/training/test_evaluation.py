from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread, imsave

from napari_sam3.engine import Engine, FramesError, Prompts
from napari_sam3.training import evaluation
from napari_sam3.training.annotator import (
    average_precision,
    careless_box,
    chosen_objects,
    innermost_point,
    overlap,
    with_next_click,
)
from napari_sam3.training.evaluation import calibration, draw_worst, image_table
from napari_sam3.training.labelled_images import read_items
from napari_sam3.training.metrics import measure
from tests.backends import DiskBackend, ellipse

SHAPE = (64, 64)


def two_disks() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint16)
    labels[ellipse(SHAPE, (20, 20), (6, 6))] = 3
    labels[ellipse(SHAPE, (44, 40), (6, 6))] = 7
    return labels


def write_item(folder: Path, labels: np.ndarray, **facts: str) -> Path:
    folder.mkdir(parents=True)
    imsave(folder / "image.tif", (labels > 0).astype(np.uint8) * 200 + 20, check_contrast=False)
    imsave(folder / "labels.tif", labels, check_contrast=False)
    (folder / "meta.json").write_text(json.dumps(facts))
    return folder.parent


def test_overlap_is_intersection_over_union():
    one, other = np.eye(4, dtype=bool), np.tri(4, dtype=bool)

    assert overlap(one, other) == pytest.approx(0.4)
    assert overlap(~one & one, ~one & one) == 0


def test_the_same_objects_are_chosen_every_time():
    labels = np.arange(100).reshape(10, 10).repeat(6, 0).repeat(6, 1)

    first, again = (chosen_objects(labels, most=8, smallest=30) for _ in range(2))

    assert first == again
    assert len(set(first)) == 8
    assert 0 not in first


def test_objects_too_small_are_not_selected():
    labels = two_disks()
    labels[0, :5] = 9

    assert chosen_objects(labels, most=8, smallest=30) == [3, 7]


def test_the_first_click_is_in_the_middle():
    assert innermost_point(two_disks() == 3) == (20, 20)


def test_the_next_click_goes_into_the_largest_mistake():
    truth, answer = ellipse(SHAPE, (30, 30), (9, 9)), ellipse(SHAPE, (30, 50), (5, 5))
    prompts = Prompts([(10, 10)])

    missed = with_next_click(prompts, answer, truth)
    surplus = with_next_click(prompts, answer | truth, truth)

    assert missed.points[1].tolist() == [30, 30]
    assert missed.positive.tolist() == [True, True]
    assert surplus.points[1].tolist() == [30, 50]
    assert surplus.positive.tolist() == [True, False]


def test_a_right_mask_gets_no_click():
    truth = ellipse(SHAPE, (30, 30), (9, 9))

    assert len(with_next_click(Prompts([(30, 30)]), truth, truth).points) == 1


def test_a_careless_box_is_off_by_a_twentieth():
    mask = ellipse(SHAPE, (30, 30), (10, 20))

    box = careless_box(mask, np.random.default_rng(3))

    exact = np.array([19.5, 9.5, 40.5, 50.5])
    assert np.all(np.abs(box - exact) <= [1.05, 2.05, 1.05, 2.05])
    assert not np.allclose(box, exact)


def test_average_precision_counts_what_is_missed_and_invented():
    truth = two_disks().astype(np.int32)
    found = np.where(truth == 3, 1, 0)
    found[:8, 50:] = 5

    assert average_precision(truth, truth) == 1
    assert average_precision(found, truth) == pytest.approx(1 / 3)
    assert average_precision(np.zeros_like(truth), truth) == 0


def test_a_perfect_model_reaches_one(tmp_path):
    folder = write_item(tmp_path / "data" / "disks", two_disks(), axes="YX")
    item = read_items(folder, None)[0]

    result = measure(Engine(DiskBackend()), item)

    assert result.scores["1 click"] == 1
    assert result.scores["5 clicks"] == 1
    assert result.scores["box"] > 0.8
    assert result.scores["everything"] == pytest.approx(0.5)  # one is below the threshold
    assert "propagation" not in result.scores


def test_inventing_an_object_costs_in_a_volume_alone(tmp_path):
    labels = np.stack([two_disks()] * 5)
    volume, movie = labels.copy(), labels.copy()
    volume[0][volume[0] == 3] = movie[4][movie[4] == 3] = 0
    write_item(tmp_path / "volume", volume, axes="ZYX")
    write_item(tmp_path / "movie", movie, axes="TYX")
    for name in ("volume", "movie"):
        image = np.stack([two_disks() > 0] * 5).astype(np.uint8) * 200
        imsave(tmp_path / name / "image.tif", image, check_contrast=False)

    results = [measure(Engine(DiskBackend()), item) for item in read_items(tmp_path, None)]

    scores = {result.item: result.scores for result in results}
    assert scores["movie"]["through time"] == 1
    assert scores["volume"]["through z"] == pytest.approx((0.75 + 1) / 2)


def test_partly_labelled_images_are_left_out_of_everything(tmp_path):
    folder = write_item(tmp_path / "data" / "smear_1", two_disks())

    item = read_items(folder, None, ["smear"])[0]

    assert "everything" not in measure(Engine(DiskBackend()), item).scores


def test_nuclei_of_the_data_science_bowl_are_reported_apart(tmp_path):
    write_item(tmp_path / "dsb_a", two_disks(), modality="fluorescence")
    write_item(tmp_path / "yeast", two_disks(), modality="phase contrast")

    results = [measure(Engine(DiskBackend()), item) for item in read_items(tmp_path, None)]

    table = image_table(results)
    lines = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert lines == ["dsb_a", "yeast", "DSB nuclei", "everything else", "all"]


def test_the_gain_of_the_best_reading_is_reported(tmp_path):
    item = read_items(write_item(tmp_path / "data" / "a", two_disks()), None)[0]

    figures = calibration([measure(Engine(DiskBackend(radius=8.6)), item)])

    assert figures["loss"] > 0.1


def test_images_and_labels_are_paired_by_name(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        imsave(tmp_path / folder / "a.png", two_disks().astype(np.uint8), check_contrast=False)
    imsave(tmp_path / "images" / "b.png", np.zeros(SHAPE, np.uint8), check_contrast=False)

    items = read_items(tmp_path / "images", tmp_path / "labels")

    assert [item.name for item in items] == ["a"]
    assert items[0].labels.shape == (1, *SHAPE)


def test_each_image_is_measured_on_its_own_labels(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name, count in (("cell.tif", 1), ("cell.ome.tif", 2), ("a[1].tif", 3)):
        labels = np.full(SHAPE, count, np.uint8)
        imsave(tmp_path / "images" / name, labels, check_contrast=False)
        imsave(tmp_path / "labels" / name, labels, check_contrast=False)

    items = read_items(tmp_path / "images", tmp_path / "labels")

    known = {item.name: int(item.labels.max()) for item in items}
    assert known == {"cell": 1, "cell.ome": 2, "a[1]": 3}


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FramesError, match="No images with ground truth"):
        read_items(tmp_path, None)


def test_labels_of_another_size_are_refused(tmp_path):
    folder = write_item(tmp_path / "data" / "a", two_disks())
    imsave(folder / "a" / "labels.tif", two_disks()[:40], check_contrast=False)

    with pytest.raises(FramesError, match="same pixels"):
        read_items(folder, None)


def test_a_broken_image_is_named(tmp_path):
    folder = write_item(tmp_path / "data" / "a", two_disks())
    (folder / "a" / "image.tif").write_bytes(b"nothing")

    with pytest.raises(FramesError, match=r"image\.tif cannot be read"):
        read_items(folder, None)


def test_the_worst_cases_are_drawn(tmp_path):
    item = read_items(write_item(tmp_path / "data" / "a", two_disks()), None)[0]

    draw_worst([measure(Engine(DiskBackend(radius=4)), item)], 3, tmp_path / "worst.png")

    assert imread(tmp_path / "worst.png").shape == (320, 320, 3)


def test_a_picture_of_no_cases_is_blank(tmp_path):
    draw_worst([], 3, tmp_path / "worst.png")

    assert imread(tmp_path / "worst.png").min() == 255


def test_the_command_writes_a_table_figures_and_a_picture(tmp_path, capsys, monkeypatch):
    write_item(tmp_path / "data" / "dsb_a", two_disks(), modality="fluorescence")
    monkeypatch.setattr(evaluation.Engine, "load", lambda name, device: Engine(DiskBackend()))
    parser = argparse.ArgumentParser()
    evaluation.add_arguments(parser)
    files = ["--json", str(tmp_path / "a.json"), "--worst", "2", str(tmp_path / "a.png")]

    code = evaluation.run(parser.parse_args([str(tmp_path / "data"), *files]))

    figures = json.loads((tmp_path / "a.json").read_text())
    assert code == 0
    assert "| dsb_a |" in capsys.readouterr().out
    assert figures["embedded"]["groups"]["all"]["1 click"] == 1
    assert (tmp_path / "a.png").exists()
