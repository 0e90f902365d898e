from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread, imsave
from tifffile import imwrite

from napari_sam3.training.real.real_images import RealPairs, RealTriplets, image_paths, labels_path


@pytest.fixture
def folder(tmp_path):
    """Two images, grey and coloured, each of a bright square."""
    labels = np.zeros((120, 150), np.uint16)
    labels[40:80, 50:90] = 1
    for name, channels in (("grey", ()), ("coloured", (3,))):
        square = np.full((120, 150, *channels), 40, np.uint8)
        square[labels > 0] = 200
        for kind, image in (("images", square), ("labels", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            imsave(tmp_path / kind / f"{name}.png", image, check_contrast=False)
    return tmp_path


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="Check `real_images`"):
        image_paths(tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_labels_stay_on_their_objects(folder, seed):
    pair = RealPairs(image_paths(folder))(np.random.default_rng(seed))

    assert pair.shape == (2, 6, 256, 256)
    for frame in pair:
        inside, outside = frame[3] > 0, frame[3] == 0
        if inside.any() and outside.any():
            assert frame[:3, inside].mean() > frame[:3, outside].mean() + 30


@pytest.mark.parametrize(
    ("scale", "ground", "dtype"),
    [(1 / 255, 0, np.float32), (10, 5000, np.uint16), (9, -1000, np.int16)],
)
def test_images_are_scaled_by_their_brightness(folder, scale, ground, dtype):
    for path in (folder / "images").iterdir():
        image = imread(path) * np.float64(scale) + ground
        imsave(path.with_suffix(".tif"), image.astype(dtype), check_contrast=False)
        path.unlink()

    pair = RealPairs(image_paths(folder))(np.random.default_rng(0))

    bright, dark = (pair[0][:3, pixels].mean() for pixels in (pair[0][3] > 0, pair[0][3] == 0))
    assert (dark, bright) == pytest.approx((0, 255), abs=10)


def test_labels_may_have_another_suffix(folder):
    for path in (folder / "images").iterdir():
        path.rename(path.with_suffix(".tiff"))

    assert [labels_path(image).name for image in image_paths(folder)] == [
        "coloured.png",
        "grey.png",
    ]


def test_an_image_without_labels_is_named(folder):
    (folder / "labels" / "grey.png").unlink()

    with pytest.raises(FileNotFoundError, match=r"No labels for .*grey\.png"):
        image_paths(folder)


@pytest.fixture
def movie(tmp_path):
    """Three objects of different brightness on six frames; each keeps its number."""
    labels = np.zeros((6, 100, 100), np.uint16)
    for frame in range(6):
        for number in (1, 2, 3):
            row = 5 + 5 * frame + 20 * (number - 1)
            labels[frame, row : row + 15, 10 * number : 10 * number + 20] = number
    labels[3:,][labels[3:] == 2] = 0
    for kind, stack in (("images", 60 * labels), ("labels", labels)):
        (tmp_path / "moving" / kind).mkdir(parents=True)
        image = stack.astype(np.uint8 if kind == "images" else np.uint16)
        imsave(tmp_path / "moving" / kind / "0.tif", image, check_contrast=False)
    return tmp_path


def test_objects_of_a_movie_keep_their_numbers(movie):
    make = RealPairs(image_paths(movie))

    for seed in range(8):
        pair = make(np.random.default_rng(seed))
        for number in np.intersect1d(pair[0, 3], pair[1, 3]):
            grey = [np.median(frame[0][frame[3] == number]) for frame in pair]
            assert abs(grey[0] - grey[1]) < 5


def test_an_object_that_ends_in_a_movie_is_gone(movie):
    make = RealPairs(image_paths(movie))
    pairs = [make(np.random.default_rng(seed)) for seed in range(20)]

    assert any(
        set(np.unique(current[3])) < set(np.unique(previous[3])) for previous, current in pairs
    )


def test_images_of_large_sources_are_drawn_less_often(folder, movie):
    make = RealPairs([Path("many/images") / f"{n}.png" for n in range(16)] + image_paths(movie))

    assert make.shares[-1] == pytest.approx(4 * make.shares[0])


def test_objects_are_sometimes_painted_over(folder):
    make = RealPairs(image_paths(folder))

    pairs = [make(np.random.default_rng(seed)) for seed in range(40)]

    assert any(pair[0, 3].any() and not pair[1, 3].any() for pair in pairs)


@pytest.fixture
def sources(tmp_path):
    """A still of a square, and a movie in which it moves two pixels a frame."""
    for name in ("still", "movie"):
        for kind in ("images", "labels"):
            (tmp_path / name / kind).mkdir(parents=True)
    labels = np.zeros((12, 128, 128), np.uint16)
    for frame in range(12):
        labels[frame, 40:70, 20 + 2 * frame : 50 + 2 * frame] = 7
    images = (labels > 0).astype(np.uint8) * 200
    imwrite(tmp_path / "movie" / "images" / "a.tif", images)
    imwrite(tmp_path / "movie" / "labels" / "a.tif", labels)
    imsave(tmp_path / "still" / "images" / "b.png", images[0], check_contrast=False)
    imsave(
        tmp_path / "still" / "labels" / "b.png", labels[0].astype(np.uint8), check_contrast=False
    )
    return tmp_path


def test_stacks_are_drawn_more_often_than_stills(sources):
    make = RealTriplets(image_paths(sources))

    assert make.shares == pytest.approx([8 / 9, 1 / 9])


def test_a_triplet_of_a_movie_goes_in_one_direction(sources):
    make = RealTriplets(image_paths(sources / "movie"))

    for seed in range(20):
        triplet = make(np.random.default_rng(seed))
        cols = [np.nonzero(frame[3])[1].mean() for frame in triplet if frame[3].any()]
        steps = np.diff(cols)
        assert (steps > -0.5).all() or (steps < 0.5).all()
        assert steps.any()


def test_a_still_is_deformed_for_its_next_frames(sources):
    make = RealTriplets(image_paths(sources / "still"))

    triplets = [make(np.random.default_rng(seed)) for seed in range(10)]

    assert all(triplet.shape == (3, 6, 256, 256) for triplet in triplets)
    assert any((triplet[0, 3] != triplet[2, 3]).any() for triplet in triplets)
    assert any((triplet[0] == triplet[1]).all() for triplet in triplets)
