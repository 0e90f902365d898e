import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam3.layers.visible import visible_box


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
