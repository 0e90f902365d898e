"""What happens to prompts on an image of 20 000 x 20 000 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import psutil
import pytest

from napari_sam3.io import open_image
from napari_sam3.layers.opened_images import layers_of
from tests.controller.bench import MOVIE, PATH, Bench
from tests.large import RADIUS, SIDE, TILE_PIXELS, centre, disk_at, pyramid
from tests.large_files import WRITERS
from tests.layers.results import seen


@pytest.fixture
def slide() -> Bench:
    """A large image of disks, of which a few hundred pixels around row 30, column 40 are seen."""
    made = Bench()
    made.backend.radius = RADIUS
    made.add_image(pyramid(), multiscale=True, contrast_limits=(0, 255))
    made.viewer.scene.camera.center = centre(30, 40)
    made.viewer.scene.camera.zoom = 4
    return made


FRAMES = range(3)


@pytest.fixture(params=["array", "dask", "pyramid"])
def movie(request: pytest.FixtureRequest) -> Bench:
    """A time-lapse of large frames, with a disk in their upper left corners."""
    pixels = np.full((len(FRAMES), 2304, 2304), MOVIE.min())
    pixels[:, : MOVIE.shape[1], : MOVIE.shape[2]] = MOVIE[: len(FRAMES)]
    stacks = {
        "array": pixels,
        "dask": da.from_array(pixels, chunks=(1, 512, 512)),
        "pyramid": [pixels, pixels[:, ::2, ::2]],
    }
    made = Bench()
    made.backend.reads_text = True
    is_pyramid = request.param == "pyramid"
    made.add_image(stacks[request.param], multiscale=is_pyramid, contrast_limits=(0, 255))
    return made


def centres_seen(bench: Bench) -> list[list[int]]:
    """Return where the only object is seen on every frame, in pixels of the frame."""
    (layer,) = bench.labels
    centres = []
    for frame in FRAMES:
        bench.go_to(frame)
        centre = np.argwhere(seen(layer) == 1).mean(axis=0) * 2**layer.data_level
        centres.append(centre.round().astype(int).tolist())
    return centres


def crop(bench: Bench, object_id: int = 1) -> tuple[Any, Any]:
    mask = bench.workspace.results.mask((), object_id)
    return mask.box, mask.crop


def reads(bench: Bench) -> list[int]:
    return [count for level in bench.image.data for count in level.reads]


def test_a_click_on_a_large_image_gives_a_mask_there(slide: Bench) -> None:
    slide.click(*centre(30, 40))

    box, mask = crop(slide)
    expected, disk = disk_at(30, 40)
    assert mask.sum() == disk.sum()
    assert box[0] <= expected[0] <= expected[2] <= box[2]
    assert slide.messages == []


def test_a_click_reads_a_tile_and_not_the_image(slide: Bench) -> None:
    for level in slide.image.data:
        level.reads.clear()

    slide.click(*centre(30, 40))

    assert 0 < sum(reads(slide)) <= TILE_PIXELS


def test_a_second_click_in_view_reads_nothing(slide: Bench) -> None:
    slide.click(*centre(30, 40))
    for level in slide.image.data:
        level.reads.clear()

    slide.click(centre(30, 40)[0] + 30, centre(30, 40)[1], is_positive=False)

    assert reads(slide) == []


def test_work_on_a_large_image_takes_little_memory(slide: Bench) -> None:
    slide.click(*centre(30, 40))
    before = psutil.Process().memory_info().rss

    for row, col in ((31, 41), (60, 20), (5, 70)):
        slide.next_object()
        slide.click(*centre(row, col))

    assert psutil.Process().memory_info().rss - before < SIDE * SIDE / 2


def test_the_mask_of_a_large_image_goes_with_its_last_prompt(slide: Bench) -> None:
    slide.click(*centre(30, 40))

    slide.controller.undo()

    assert not crop(slide)[1].any()
    assert not any(level[:].any() for level in slide.labels[0].data[2:])


def test_an_outline_on_a_large_image_is_a_prompt_of_its_size(slide: Bench) -> None:
    slide.controller.begin()
    row, col = centre(30, 40)

    slide.workspace.prompts.shapes.add_polygons(
        [[row - 20, col - 20], [row - 20, col + 20], [row + 20, col + 20], [row + 20, col - 20]]
    )

    box, mask = crop(slide)
    assert abs(int(mask.sum()) - 41**2) < 100
    assert abs(box[0] - (row - 20)) <= 1
    assert slide.messages == []


def test_another_reading_of_a_large_image_is_shown(slide: Bench) -> None:
    slide.click(*centre(30, 40))
    before = crop(slide)[1].sum()

    slide.controller.show_next_hypothesis()

    assert 0 < crop(slide)[1].sum() < before


def test_masks_of_a_large_image_move_to_one_layer(slide: Bench) -> None:
    slide.click(*centre(30, 40))
    slide.next_object()
    slide.click(*centre(31, 41))

    slide.controller.choose_layout("one layer")

    assert len(slide.labels) == 1
    assert crop(slide, 1)[1].sum() == crop(slide, 2)[1].sum() == disk_at(0, 0)[1].sum()


def test_what_is_visible_goes_with_a_prompt(slide: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    segment = type(slide.engine.open(np.zeros((9, 9)))).segment

    def segmenting(session: Any, frame: int, *others: Any) -> Any:
        seen.append(others[-1])
        return segment(session, frame, *others)

    monkeypatch.setattr("napari_sam3.engine.session.Session.segment", segmenting)

    slide.click(*centre(30, 40))

    top, left, bottom, right = seen[0]
    assert top < centre(30, 40)[0] < bottom
    assert (bottom - top) < SIDE / 10
    assert (right - left) < SIDE / 10


@pytest.mark.parametrize("name", WRITERS)
def test_a_click_on_an_opened_file_gives_a_mask(tmp_path: Path, name: str) -> None:
    (layer,) = layers_of(open_image(WRITERS[name](tmp_path / name, 3072)))
    bench = Bench()
    bench.viewer.add_layer(layer)

    bench.click(2000, 1500)

    box, mask = crop(bench)
    assert mask.sum() > 50
    assert box[0] <= 2000 < box[2]
    assert box[1] <= 1500 < box[3]
    np.testing.assert_allclose(bench.labels[0].scale, layer.scale)


def test_an_object_is_followed_and_seen_on_large_frames(movie: Bench) -> None:
    movie.click_disk(0)
    movie.run()

    np.testing.assert_allclose(centres_seen(movie), PATH[: len(FRAMES)], atol=1)
    assert movie.messages == []


def test_everything_is_found_on_a_large_frame_and_seen_on_it_alone(movie: Bench) -> None:
    movie.go_to(1)

    movie.controller.search.find_everything()

    layer = movie.viewer.layers["everything"]
    assert seen(layer).any()
    movie.go_to(0)
    assert not seen(layer).any()
    assert movie.messages == []


def test_what_was_found_on_large_frames_is_shown_in_3d_and_from_the_side(movie: Bench) -> None:
    movie.go_to(1)
    movie.controller.search.find_everything()
    layer = movie.viewer.layers["everything"]

    movie.viewer.dims.ndisplay = 3

    assert [bool(frame.any()) for frame in seen(layer)] == [False, True, False]

    movie.viewer.dims.ndisplay = 2
    movie.viewer.dims.order = (1, 0, 2)
    movie.viewer.dims.set_current_step(1, PATH[1][0])

    assert [bool(frame.any()) for frame in seen(layer)] == [False, True, False]
