from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread, imsave

from napari_sam3.training.real.real_images import RealPairs, images_in, labels_of


@pytest.fixture
def folder(tmp_path):
    """Two pictures, grey and coloured, of one bright square each."""
    labels = np.zeros((120, 150), np.uint16)
    labels[40:80, 50:90] = 1
    for name, channels in (("grey", ()), ("coloured", (3,))):
        picture = np.full((120, 150, *channels), 40, np.uint8)
        picture[labels > 0] = 200
        for kind, image in (("images", picture), ("labels", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            imsave(tmp_path / kind / f"{name}.png", image, check_contrast=False)
    return tmp_path


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="Check `real`"):
        images_in(tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_labels_stay_on_their_objects(folder, seed):
    pair = RealPairs(images_in(folder))(np.random.default_rng(seed))

    assert pair.shape == (2, 6, 256, 256)
    for frame in pair:
        inside, outside = frame[3] > 0, frame[3] == 0
        if inside.any() and outside.any():
            assert frame[:3, inside].mean() > frame[:3, outside].mean() + 30


@pytest.mark.parametrize(
    ("scale", "ground", "dtype"),
    [(1 / 255, 0, np.float32), (10, 5000, np.uint16), (9, -1000, np.int16)],
)
def test_pictures_are_exposed_by_what_is_on_them(folder, scale, ground, dtype):
    for path in (folder / "images").iterdir():
        image = imread(path) * np.float64(scale) + ground
        imsave(path.with_suffix(".tif"), image.astype(dtype), check_contrast=False)
        path.unlink()

    pair = RealPairs(images_in(folder))(np.random.default_rng(0))

    bright, dark = (pair[0][:3, seen].mean() for seen in (pair[0][3] > 0, pair[0][3] == 0))
    assert (dark, bright) == pytest.approx((0, 255), abs=10)


def test_labels_are_found_whatever_their_suffix(folder):
    for path in (folder / "images").iterdir():
        path.rename(path.with_suffix(".tiff"))

    assert [labels_of(image).name for image in images_in(folder)] == ["coloured.png", "grey.png"]


def test_a_picture_without_labels_is_named(folder):
    (folder / "labels" / "grey.png").unlink()

    with pytest.raises(FileNotFoundError, match=r"No labels for .*grey\.png"):
        images_in(folder)


@pytest.fixture
def movie(tmp_path):
    """Three objects of one brightness each, on six frames; each has its number on all of them."""
    labels = np.zeros((6, 100, 100), np.uint16)
    for frame in range(6):
        for number in (1, 2, 3):
            place = 5 + 5 * frame + 20 * (number - 1)
            labels[frame, place : place + 15, 10 * number : 10 * number + 20] = number
    labels[3:,][labels[3:] == 2] = 0
    for kind, stack in (("images", 60 * labels), ("labels", labels)):
        (tmp_path / "moving" / kind).mkdir(parents=True)
        image = stack.astype(np.uint8 if kind == "images" else np.uint16)
        imsave(tmp_path / "moving" / kind / "0.tif", image, check_contrast=False)
    return tmp_path


def test_objects_of_a_movie_keep_their_numbers(movie):
    make = RealPairs(images_in(movie))

    for seed in range(8):
        pair = make(np.random.default_rng(seed))
        for number in np.intersect1d(pair[0, 3], pair[1, 3]):
            seen = [np.median(frame[0][frame[3] == number]) for frame in pair]
            assert abs(seen[0] - seen[1]) < 5


def test_an_object_that_ends_in_a_movie_is_gone(movie):
    make = RealPairs(images_in(movie))
    pairs = [make(np.random.default_rng(seed)) for seed in range(20)]

    assert any(set(np.unique(now[3])) < set(np.unique(before[3])) for before, now in pairs)


def test_pictures_from_large_sources_are_drawn_less(folder, movie):
    make = RealPairs([Path("many/images") / f"{n}.png" for n in range(16)] + images_in(movie))

    assert make.shares[-1] == pytest.approx(4 * make.shares[0])


def test_objects_are_sometimes_painted_over(folder):
    make = RealPairs(images_in(folder))

    pairs = [make(np.random.default_rng(seed)) for seed in range(40)]

    assert any(pair[0, 3].any() and not pair[1, 3].any() for pair in pairs)
