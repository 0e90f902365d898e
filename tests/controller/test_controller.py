"""What a user does, and what she sees."""

from collections.abc import Callable

import numpy as np
import pytest
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
    assert bench.controller.work is None


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

    assert [thing.id for thing in bench.workspace.objects] == [1]


def test_next_object_takes_up_one_that_was_never_prompted(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.controller.select_object(1)

    bench.next_object()

    assert [thing.id for thing in bench.workspace.objects] == [1, 2]
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


def test_prompt_lies_at_the_current_time_and_depth(bench_of: Callable[..., Bench]) -> None:
    pixels = np.zeros((3, 4, 64, 64), np.uint8)
    pixels[1, 2] = MOVIE[5]
    bench = bench_of(pixels, axis_labels=("t", "z", "y", "x"))

    bench.click(1, 2, 30, 30)

    assert bench.mask(1, 2)[30, 30]
    assert bench.labels[0].data[:].any(axis=(2, 3)).nonzero() == (1, 2)
    assert bench.messages == []


def test_model_sees_the_frame_at_the_current_time_and_depth(bench_of: Callable[..., Bench]) -> None:
    brightness = np.arange(12, dtype=np.uint8).reshape(3, 4, 1, 1) * np.ones((64, 64), np.uint8)
    bench = bench_of(brightness, contrast_limits=(0, 10), axis_labels=("t", "z", "y", "x"))

    bench.click(1, 2, 30, 30)

    np.testing.assert_allclose(_seen_by_the_model(bench), 0.6)


def test_model_sees_the_contrast_that_the_user_sees(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((3, 64, 64), 150, np.uint16), contrast_limits=(100, 200))

    bench.click(0, 30, 30)

    np.testing.assert_allclose(_seen_by_the_model(bench), 0.5)


def test_other_contrast_is_another_embedding(bench: Bench) -> None:
    bench.click_disk(0)
    bench.image.contrast_limits = (0, 500)
    bench.click(0, 31, 12)

    assert bench.backend.encoded == 2
    assert bench.backend.refined[-1] is None


def test_model_sees_all_visible_channels(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((64, 64), 200, np.uint8), contrast_limits=(0, 200), colormap="red")
    bench.add_image(
        np.full((64, 64), 100, np.uint8),
        contrast_limits=(0, 200),
        colormap="green",
        blending="additive",
    )
    hidden = bench.add_image(np.full((64, 64), 200, np.uint8), colormap="blue")
    hidden.visible = False

    bench.click(30, 30)

    colors = _seen_by_the_model(bench)
    np.testing.assert_allclose(colors[30, 30], (1, 0.5, 0), atol=0.01)


def test_click_on_another_image_is_about_that_one(bench: Bench) -> None:
    bench.click(0, 20, 20)
    other = bench.add_image(np.zeros((32, 32), np.uint8))

    bench.controller.click((10, 10), is_positive=True)

    assert bench.image is other
    assert bench.mask()[10, 10]


def test_click_beside_a_hidden_image_is_about_the_one_in_sight(bench: Bench) -> None:
    bench.click(0, 20, 20)
    hidden = bench.add_image(np.zeros((10, 32, 32), np.uint8))
    hidden.visible = False

    bench.controller.click((0, 20, 24), is_positive=True)

    assert bench.image is not hidden
    assert bench.mask(0)[20, 24]


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

    assert bench.workspace.prompts.snapshot().keys == frozenset()
    assert bench.controller.starts == {}


def test_selected_object_brings_its_prompts_back(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.controller.select_object(1)
    bench.click(0, 20, 30)

    assert bench.workspace.prompts.points.shown.tolist() == [True, False, True]
    assert bench.asked[-1].points.tolist() == [[20, 20], [20, 30]]


def test_selected_object_is_gone_to(bench: Bench) -> None:
    bench.click_disk(7)
    bench.next_object()
    bench.click_disk(2)

    bench.controller.select_object(1)

    assert bench.viewer.dims.current_step[0] == 7


def test_selected_object_in_sight_is_looked_at_where_one_is(bench: Bench) -> None:
    bench.click_disk(2)
    bench.run()
    bench.go_to(6)

    bench.controller.select_object(1)

    assert bench.viewer.dims.current_step[0] == 6


def test_removed_object_leaves_nothing_behind(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.controller.remove_object(1)

    assert [thing.id for thing in bench.workspace.objects] == [2]
    assert [layer.name for layer in bench.labels] == ["cell 2"]
    assert bench.workspace.prompts.snapshot().objects.tolist() == [2]
    assert bench.mask(0, object_id=2)[40, 40]


def test_last_object_that_is_removed_makes_room_for_a_new_one(bench: Bench) -> None:
    bench.click(0, 20, 20)

    bench.controller.remove_object(1)
    bench.click(0, 40, 40)

    assert [thing.id for thing in bench.workspace.objects] == [2]
    assert bench.mask(0, object_id=2)[40, 40]


def test_removed_object_gives_its_pixels_back_in_one_layer(bench: Bench) -> None:
    bench.controller.choose_layout("one layer")
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.controller.remove_object(1)

    assert not bench.mask(0, object_id=1).any()
    assert bench.mask(0, object_id=2)[40, 40]


def test_removing_an_object_leaves_what_the_model_knows_of_others(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 20, 20)
    bench.controller.remove_object(1)
    asked = len(bench.asked)

    bench.click(0, 20, 30)

    assert bench.backend.refined[asked] is not None
    assert list(bench.asked[asked].points[0]) == [20, 20]


def test_renamed_object_renames_its_layer(bench: Bench) -> None:
    bench.click(0, 20, 20)

    bench.controller.rename_object(1, "mother")

    assert [layer.name for layer in bench.labels] == ["mother"]
    assert bench.workspace.objects[1].name == "mother"


def test_layer_that_the_user_renamed_is_still_found(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.labels[0].name = "something else"

    bench.click(0, 20, 30)

    assert len(bench.labels) == 1
    assert bench.mask(0)[20, 30]


def test_mouse_over_an_object_shows_its_score_and_area(bench: Bench) -> None:
    bench.click(0, 20, 20)

    (row,) = bench.labels[0].features.to_dict("records")
    assert row == {"index": 1, "name": "cell 1", "score": 0.9, "area": 113}


def test_frames_done_are_counted(bench: Bench) -> None:
    bench.click_disk(0)
    bench.click_disk(4)

    assert bench.controller.progress_of(bench.workspace.objects[1]) == "2 of 10"


def test_point_outside_the_image_is_refused(bench: Bench) -> None:
    bench.click(0, 70, 10)

    assert bench.messages == ["The point lies outside the image: click inside it."]
    assert bench.asked == []
    assert len(bench.workspace.prompts.points.data) == 0


def test_box_of_no_area_is_refused_and_the_mask_stays(bench: Bench) -> None:
    bench.click(0, 20, 20)

    bench.workspace.prompts.shapes.add(_box(0, 10, 10, 10, 30), shape_type="rectangle")

    assert len(bench.messages) == 1
    assert "covers no pixel" in bench.messages[0]
    assert bench.mask(0)[20, 20]


def test_negative_click_alone_says_what_is_missing(bench: Bench) -> None:
    bench.click(0, 20, 20, is_positive=False)

    assert len(bench.messages) == 1
    assert "positive point" in bench.messages[0]
    assert bench.asked == []


def test_click_without_an_image_says_what_to_do() -> None:
    bench = Bench()

    bench.controller.click((0, 0), is_positive=True)

    assert bench.messages == ["There is no image to segment: open one first."]


def test_run_without_an_object_says_what_to_do(bench: Bench) -> None:
    bench.run()

    assert bench.messages == ["There is nothing to follow yet: click an object first."]


def test_image_of_one_row_is_refused_in_a_sentence(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.zeros((5, 1, 40), np.uint8))

    bench.click(0, 0, 10)

    assert len(bench.messages) == 1
    assert "1 x 40 pixels is too narrow" in bench.messages[0]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # napari's own
def test_empty_stack_is_refused_in_a_sentence(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.zeros((0, 64, 64), np.uint8), contrast_limits=(0, 1))

    bench.click(0, 30, 30)

    assert len(bench.messages) == 1
    assert bench.asked == []


def test_constant_frame_can_be_prompted(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((3, 64, 64), 7, np.uint16))

    bench.click(0, 30, 30)

    assert bench.mask(0)[30, 30]
    assert bench.messages == []


def test_frame_of_nan_can_be_prompted(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((3, 64, 64), np.nan, np.float32), contrast_limits=(0, 1))

    bench.click(0, 30, 30)

    assert bench.mask(0)[30, 30]
    assert not np.isnan(_seen_by_the_model(bench)).any()


def test_color_image_can_be_prompted(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(np.full((64, 64, 3), (255, 0, 51), np.uint8), rgb=True)

    bench.click(30, 30)

    assert bench.mask()[30, 30]
    np.testing.assert_allclose(_seen_by_the_model(bench)[0, 0], (1, 0, 0.2), atol=0.01)


def test_single_image_can_be_prompted(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(MOVIE[0])

    bench.click(*PATH[0])

    assert bench.mask()[PATH[0]]
    assert bench.controller.focus.axes is not None
    assert bench.controller.focus.axes.count == 1


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


def _seen_by_the_model(bench: Bench) -> np.ndarray:
    """Return the image that was embedded last, (H, W, 3)."""
    return bench.backend.seen[-1]
