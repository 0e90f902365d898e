from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam3.engine import FramesError
from napari_sam3.engine.images.frames import Window
from napari_sam3.layers.axes import StackAxes
from napari_sam3.layers.image_stack import contrast_of, frames_of, visible_box, visible_channels
from tests.large import SIDE, VirtualImage, pyramid

ORIGIN = (0, 0, 0, 0)


@pytest.fixture
def movie() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60000, (3, 4, 16, 20), np.uint16)


class CountingArray:
    """An array that knows how often it was read."""

    def __init__(self, data: np.ndarray) -> None:
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim
        self.reads = 0
        self._data = data

    def __getitem__(self, index: Any) -> np.ndarray:
        self.reads += 1
        return self._data[index]


def test_visible_images_on_the_same_place_are_channels() -> None:
    viewer = ViewerModel()
    red, green, hidden = (viewer.add_image(np.zeros((16, 20)), scale=(2, 2)) for _ in range(3))
    hidden.visible = False
    viewer.add_image(np.zeros((16, 20)), scale=(1, 1))
    viewer.add_image(np.zeros((16, 21)), scale=(2, 2))
    viewer.add_labels(np.zeros((16, 20), int), scale=(2, 2))

    assert visible_channels(viewer.layers, green) == (red, green)


def test_the_chosen_image_counts_even_when_it_is_hidden() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((16, 20)), visible=False)

    assert visible_channels(viewer.layers, image) == (image,)


def test_a_color_image_has_no_other_channels() -> None:
    viewer = ViewerModel()
    photo = viewer.add_image(np.zeros((16, 20, 3), np.uint8), rgb=True)
    grey = viewer.add_image(np.zeros((16, 20)))

    assert visible_channels(viewer.layers, photo) == (photo,)
    assert visible_channels(viewer.layers, grey) == (grey,)


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr"])
def test_frames_come_from_the_chosen_axis_at_the_current_position(
    kind: str, movie: np.ndarray
) -> None:
    opened = {"numpy": movie, "dask": da.from_array(movie), "zarr": zarr.array(movie)}[kind]
    image = Image(opened, multiscale=False)

    along_z = frames_of((image,), StackAxes.of(image, 1, (2, 0, 0, 0)))
    along_t = frames_of((image,), StackAxes.of(image, 0, (0, 3, 0, 0)))

    assert (along_z.count, along_t.count) == (4, 3)
    np.testing.assert_array_equal(along_z.read(1)[..., 0], movie[2, 1])
    np.testing.assert_array_equal(along_t.read(1)[..., 0], movie[1, 3])


def test_a_single_image_is_one_frame(movie: np.ndarray) -> None:
    image = Image(movie[0, 0])

    frames = frames_of((image,), StackAxes.of(image, None, (0, 0)))

    np.testing.assert_array_equal(frames.read(0)[..., 0], movie[0, 0])


def test_a_frame_is_read_once_from_every_channel(movie: np.ndarray) -> None:
    arrays = [CountingArray(movie) for _ in range(2)]
    channels = [Image(array, multiscale=False, contrast_limits=(0, 60000)) for array in arrays]
    frames = frames_of(channels, StackAxes.of(channels[0], 0, ORIGIN))
    before = [array.reads for array in arrays]

    frame = frames.read(2)

    assert frame.shape == (16, 20, 2)
    assert [array.reads for array in arrays] == [count + 1 for count in before]


def test_five_channels_are_all_read(movie: np.ndarray) -> None:
    channels = [Image(movie + index) for index in range(5)]

    frame = frames_of(channels, StackAxes.of(channels[0], 0, ORIGIN)).read(0)

    np.testing.assert_array_equal(frame[..., 4], movie[0, 0] + 4)


def test_a_pyramid_is_read_at_its_full_resolution(movie: np.ndarray) -> None:
    image = Image([movie, movie[..., ::2, ::2]], multiscale=True)

    frame = frames_of((image,), StackAxes.of(image, 0, ORIGIN)).read(1)

    np.testing.assert_array_equal(frame[..., 0], movie[1, 0])


def test_the_alpha_of_a_color_image_is_dropped() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (5, 16, 20, 4), np.uint8)
    image = Image(photo, rgb=True)

    frames = frames_of((image,), StackAxes.of(image, 0, (0, 0, 0)))

    assert frames.is_rgb
    np.testing.assert_array_equal(frames.read(3), photo[3, ..., :3])


def test_replaced_data_of_another_shape_is_refused() -> None:
    image = Image(np.zeros((5, 16, 20)))
    axes = StackAxes.of(image, 0, (0, 0, 0))
    image.data = np.zeros((7, 16, 20))

    with pytest.raises(FramesError, match="choose it again"):
        frames_of((image,), axes)


def test_the_picture_has_the_limits_and_the_gamma_of_the_layer() -> None:
    ramp = np.tile(np.arange(0, 2000, 100, dtype=np.uint16), (16, 1))
    image = Image(ramp, contrast_limits=(500, 1500), gamma=0.5)

    picture = contrast_of((image,)).compose(ramp[..., None])

    expected = np.clip((ramp[0] - 500.0) / 1000, 0, 1) ** 0.5
    np.testing.assert_allclose(picture[0, :, 0], expected, atol=0.01)


def test_channels_are_added_in_their_colors() -> None:
    flat = np.full((16, 20), 100, np.uint8)
    style = {"contrast_limits": (0, 200), "blending": "additive"}
    channels = [Image(flat, colormap="red", **style), Image(flat, colormap="green", **style)]

    picture = contrast_of(channels).compose(np.stack([flat, flat], axis=-1))

    np.testing.assert_allclose(picture[3, 3], (0.5, 0.5, 0), atol=0.01)


def test_opacity_and_an_opaque_layer_above_count() -> None:
    flat = np.full((16, 20), 100, np.uint8)
    below = Image(flat, colormap="red", contrast_limits=(0, 100), blending="additive")
    above = Image(flat, colormap="blue", contrast_limits=(0, 100), blending="translucent")
    above.opacity = 0.25

    picture = contrast_of((below, above)).compose(np.stack([flat, flat], axis=-1))

    np.testing.assert_allclose(picture[3, 3], (0.75, 0, 0.25), atol=0.01)


def test_a_colormap_with_many_colors_is_taken_whole() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    image = Image(ramp, colormap="viridis", contrast_limits=(0, 255))

    picture = contrast_of((image,)).compose(ramp[..., None])

    expected = image.colormap.map(np.linspace(0, 1, 256))[:, :3]
    np.testing.assert_allclose(picture[0], expected, atol=0.01)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.float32, 1.0)])
def test_a_color_image_looks_as_it_is(dtype: type, white: float) -> None:
    photo = np.zeros((16, 20, 3), dtype)
    photo[2, 3] = (white, white / 2, 0)
    image = Image(photo, rgb=True)

    picture = contrast_of((image,)).compose(photo)

    np.testing.assert_allclose(picture[2, 3], (1, 0.5, 0), atol=0.01)


def test_a_color_image_of_bools_looks_as_it_is() -> None:
    photo = np.zeros((16, 20, 3), bool)
    photo[2, 3] = (True, True, False)
    image = Image(photo, rgb=True)

    picture = contrast_of((image,)).compose(photo)

    np.testing.assert_array_equal(picture[2, 3], (1, 1, 0))


def test_another_contrast_limit_is_another_contrast() -> None:
    image = Image(np.zeros((16, 20)), contrast_limits=(0, 1))
    before = contrast_of((image,)).token

    image.contrast_limits = (0, 0.5)

    assert contrast_of((image,)).token != before


def test_of_a_large_image_only_windows_are_read() -> None:
    levels = pyramid()
    image = Image(levels, multiscale=True, contrast_limits=(0, 255))
    frames = frames_of((image,), StackAxes.of(image, None, (0, 0)))
    for level in levels:
        level.reads.clear()

    fine = frames.read_window(0, Window(0, 7500, 10_000, 300, 400))
    coarse = frames.read_window(0, Window(3, 0, 0, 500, 500))

    assert frames.is_large
    assert frames.levels == tuple((SIDE >> step, SIDE >> step) for step in range(5))
    np.testing.assert_array_equal(fine[..., 0], levels[0][7500:7800, 10_000:10_400])
    np.testing.assert_array_equal(coarse[..., 0], levels[3][:500, :500])
    assert [sum(level.reads[:1]) for level in levels] == [300 * 400, 0, 0, 500 * 500, 0]


def test_a_window_of_a_large_stack_is_of_its_frame_and_its_channels() -> None:
    channels = [Image(pyramid(frames=3), multiscale=True, contrast_limits=(0, 255)) for _ in "ab"]

    frames = frames_of(channels, StackAxes.of(channels[0], 0, (1, 0, 0)))

    assert (frames.count, frames.channels) == (3, 2)
    assert frames.read_window(2, Window(0, 50, 60, 30, 40)).shape == (30, 40, 2)
    reads = [level.reads for channel in channels for level in channel.data]
    assert max(map(sum, reads)) <= 4 * 1250**2  # napari draws from the smallest


def test_channels_share_the_sizes_that_all_of_them_have() -> None:
    channels = [
        Image(pyramid(levels=count), multiscale=True, contrast_limits=(0, 255)) for count in (5, 3)
    ]

    frames = frames_of(channels, StackAxes.of(channels[0], None, (0, 0)))

    assert frames.levels == ((SIDE, SIDE), (SIDE // 2, SIDE // 2), (SIDE // 4, SIDE // 4))


def test_sizes_with_fewer_frames_are_left_out() -> None:
    levels = [VirtualImage((4, 4000, 4000)), VirtualImage((2, 2000, 2000), 2)]
    image = Image(levels, multiscale=True, contrast_limits=(0, 255))

    frames = frames_of((image,), StackAxes.of(image, 0, (0, 0, 0)))

    assert frames.levels == ((4000, 4000),)


def test_a_large_image_of_one_size_is_read_in_windows_too() -> None:
    array = VirtualImage((3000, 3000))
    image = Image(array, multiscale=False, contrast_limits=(0, 255))
    array.reads.clear()

    frames = frames_of((image,), StackAxes.of(image, None, (0, 0)))
    frames.read_window(0, Window(0, 1000, 1000, 100, 100))

    assert array.reads == [100 * 100]


@pytest.fixture
def viewer() -> ViewerModel:
    """A canvas of 200 rows and 300 columns, in the middle of which lies row 500, column 400."""
    made = ViewerModel()
    made.canvas.size = (200, 300)
    made.scene.camera.center = (500, 400)
    made.scene.camera.zoom = 1
    return made


def test_the_canvas_shows_a_box_of_the_image(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((1000, 1000)))
    viewer.scene.camera.center = (500, 400)
    viewer.scene.camera.zoom = 1

    assert visible_box(viewer, image) == (400, 250, 601, 551)


def test_a_closer_look_shows_less(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((1000, 1000)))
    viewer.scene.camera.center = (500, 400)
    viewer.scene.camera.zoom = 10

    assert visible_box(viewer, image) == (490, 385, 511, 416)


def test_scale_and_translation_of_the_image_count(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((1000, 1000)), scale=(0.5, 0.25), translate=(100, 200))
    viewer.scene.camera.center = (200, 300)
    viewer.scene.camera.zoom = 10

    assert visible_box(viewer, image) == (180, 340, 221, 461)


def test_of_a_turned_image_the_box_around_what_is_seen_is_shown(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((1000, 1000)), rotate=90)
    viewer.scene.camera.center = tuple(image.data_to_world((500, 400)))
    viewer.scene.camera.zoom = 1

    assert visible_box(viewer, image) == (350, 300, 651, 501)


def test_pixels_are_those_of_the_finest_level(viewer: ViewerModel) -> None:
    image = viewer.add_image([np.zeros((4000, 4000)), np.zeros((1000, 1000))], multiscale=True)
    viewer.scene.camera.center = (2000, 2000)
    viewer.scene.camera.zoom = 0.1

    assert image.data_level == 1
    assert visible_box(viewer, image) == (1000, 500, 3001, 3501)


def test_the_box_ends_where_the_image_ends(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((5, 450, 300)))
    viewer.scene.camera.center = (0, 500, 400)
    viewer.scene.camera.zoom = 1

    assert visible_box(viewer, image) == (400, 250, 450, 300)


def test_an_image_that_is_out_of_sight_shows_nothing(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((50, 50)))
    viewer.scene.camera.center = (500, 400)
    viewer.scene.camera.zoom = 1

    assert visible_box(viewer, image) is None


def test_a_section_across_frames_shows_no_box(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((5, 50, 50)))
    viewer.dims.order = (1, 0, 2)

    assert visible_box(viewer, image) is None
