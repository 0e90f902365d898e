"""What a user does, and what she sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Labels, Points, Shapes

from tests.backends import disk_frames, ellipse
from tests.controller.bench import MOVIE, PATH, Bench
from tests.layers import mouse


def test_first_click_makes_prompt_layers_and_a_labels_layer(bench: Bench) -> None:
    bench.click_disk(0)

    kinds = [type(layer) for layer in bench.viewer.layers[1:]]
    assert kinds == [Labels, Shapes, Points]
    assert bench.viewer.layers.selection.active is bench.workspace.prompts.points
    assert bench.workspace.prompts.points.mode == "add"


def test_nothing_is_added_before_the_first_click(bench: Bench) -> None:
    assert len(bench.viewer.layers) == 1
    assert bench.controller.annotation is None


def test_labels_and_prompts_lie_exactly_on_the_image(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(
        MOVIE,
        scale=(3, 0.5, 0.25),
        translate=(1, 2, 3),
        rotate=30,
        shear=(0, 0, 0.3),
        affine=np.diag((1, 2, 2, 1)),
        axis_labels=("z", "y", "x"),
        units=("um", "um", "um"),
    )

    bench.click_disk(2)

    image = bench.image
    for layer in bench.viewer.layers[1:]:
        corners = np.array([(0, 0, 0), (9, 0, 63), (3, 63, 5)])
        here = [layer.data_to_world(corner) for corner in corners]
        np.testing.assert_allclose(here, [image.data_to_world(corner) for corner in corners])
        np.testing.assert_allclose(layer.scale, image.scale)
        np.testing.assert_allclose(layer.rotate, image.rotate)
        assert layer.axis_labels == image.axis_labels
        assert layer.units == image.units


def test_click_shows_a_mask_where_it_was_clicked(bench: Bench) -> None:
    bench.click(2, 40, 20)

    np.testing.assert_array_equal(bench.mask(2), ellipse((64, 64), (40, 20), (6, 6)))
    assert bench.frames_with() == [2]
    assert bench.messages == []


def test_second_click_refines_the_first(bench: Bench) -> None:
    bench.click(0, 30, 20)
    bench.click(0, 30, 30)

    assert bench.asked[-1].points.tolist() == [[30, 20], [30, 30]]
    assert bench.backend.refined[-1] is not None
    assert bench.backend.encoded == 1


def test_negative_click_cuts_pixels_out(bench: Bench) -> None:
    bench.click(0, 30, 20)
    bench.click(0, 30, 24, is_positive=False)

    assert bench.asked[-1].positive.tolist() == [True, False]
    assert bench.mask(0)[30, 15]
    assert not bench.mask(0)[30, 24]


def test_next_object_has_a_mask_of_its_own(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    assert len(bench.labels) == 2
    assert bench.mask(0, object_id=1)[20, 20]
    assert bench.mask(0, object_id=2)[40, 40]
    assert not bench.mask(0, object_id=2)[20, 20]


def test_next_object_before_any_prompt_is_the_one_at_hand(bench: Bench) -> None:
    bench.next_object()
    bench.next_object()

    assert [obj.id for obj in bench.workspace.objects] == [1]


def test_next_object_takes_up_one_that_was_never_prompted(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.controller.select_object(1)

    bench.next_object()

    assert [obj.id for obj in bench.workspace.objects] == [1, 2]
    assert bench.controller.current is bench.workspace.objects[2]


def test_points_of_other_frames_are_never_sent(bench: Bench) -> None:
    bench.click_disk(0)
    bench.click_disk(3)

    assert [one.points.tolist() for one in bench.asked] == [[[30, 10]], [[30, 22]]]


def test_points_of_other_objects_are_never_sent(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    assert [one.points.tolist() for one in bench.asked] == [[[20, 20]], [[40, 40]]]


def test_moved_point_moves_the_mask(bench: Bench) -> None:
    bench.click(0, 20, 20)
    points = bench.workspace.prompts.points

    points.mode = "select"
    mouse.drag(points, [(0, 20, 20), (0, 30, 30), (0, 40, 40)])

    np.testing.assert_array_equal(bench.mask(0), ellipse((64, 64), (40, 40), (6, 6)))


def test_deleted_point_takes_its_mask_along(bench: Bench) -> None:
    bench.click(0, 20, 20)
    points = bench.workspace.prompts.points

    points.selected_data = {0}
    points.remove_selected()

    assert not bench.mask(0).any()
    assert bench.controller.progress_of(bench.workspace.objects[1]) == "0 of 10"


def test_mask_goes_with_the_last_point_that_marked_it(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.click(0, 20, 30, is_positive=False)

    bench.workspace.prompts.points.remove([0])

    assert not bench.mask(0).any()
    assert len(bench.messages) == 1
    assert "positive point" in bench.messages[0]


def test_box_is_a_prompt(bench: Bench) -> None:
    bench.controller.choose_tool("box")

    bench.workspace.prompts.shapes.add(_box(0, 10, 10, 30, 40), shape_type="rectangle")

    assert bench.asked[-1].boxes.tolist() == [[10, 10, 30, 40]]
    assert bench.mask(0)[20, 25]


def test_outline_is_a_mask_prompt(bench: Bench) -> None:
    bench.controller.choose_tool("outline")

    bench.workspace.prompts.shapes.add(_box(0, 10, 10, 30, 40), shape_type="polygon")

    outline = bench.asked[-1].mask
    assert outline is not None
    assert outline[20, 25]
    assert not outline[40, 25]


def test_undo_takes_the_last_click_back(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.click(0, 20, 30)

    bench.controller.undo()

    np.testing.assert_array_equal(bench.mask(0), ellipse((64, 64), (20, 20), (6, 6)))


def test_undo_of_the_first_click_erases_its_mask(bench: Bench) -> None:
    bench.click(0, 20, 20)

    bench.controller.undo()

    assert not bench.mask(0).any()


def test_redo_brings_the_click_back(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.controller.undo()

    bench.controller.redo()

    np.testing.assert_array_equal(bench.mask(0), ellipse((64, 64), (20, 20), (6, 6)))


def test_undo_reaches_prompts_of_another_object(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.controller.undo()
    bench.controller.undo()

    assert not bench.mask(0, object_id=1).any()
    assert not bench.mask(0, object_id=2).any()


def test_undo_passes_over_an_object_that_was_removed(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)
    bench.controller.remove_object(2)

    bench.controller.undo()

    assert bench.workspace.prompts.snapshot.keys == frozenset()
    assert bench.controller.starts == {}


def test_each_image_has_its_own_work(bench: Bench) -> None:
    first = bench.image
    bench.click(0, 20, 20)
    second = bench.add_image(disk_frames(PATH[:3]), name="another")
    bench.controller.focus.choose_image(second)

    bench.click(1, 40, 40)

    assert len(bench.labels) == 2
    assert bench.mask(1)[40, 40]
    bench.controller.focus.choose_image(first)
    assert bench.mask(0)[20, 20]


def test_closed_controller_hears_no_more_of_the_viewer(bench: Bench) -> None:
    bench.click_disk(0)
    heard: list[bool] = []
    bench.controller.changed.connect(lambda: heard.append(True))

    bench.controller.close()
    bench.go_to(4)
    bench.add_image(MOVIE)

    assert heard == []


def _box(frame: int, top: float, left: float, bottom: float, right: float) -> np.ndarray:
    corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return np.array([(frame, *corner) for corner in corners])
