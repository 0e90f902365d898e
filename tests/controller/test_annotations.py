"""Images that come and go, and the layers that belong to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_sam3.layers.label_layers import Layout
from tests.backends import disk_frames, ellipse
from tests.controller.bench import MOVIE, PATH, Bench
from tests.controller.conftest import Disk


def test_masks_outlive_their_image(bench: Bench) -> None:
    bench.click_disk(0)
    labels = bench.labels[0]

    bench.viewer.layers.remove(bench.image)

    assert labels in bench.viewer.layers
    assert labels.data[0].any()
    assert bench.controller.annotation is None


def test_image_that_was_removed_can_be_worked_on_again(bench: Bench) -> None:
    image = bench.image
    bench.click_disk(0)
    bench.viewer.layers.remove(image)
    bench.viewer.layers.append(image)

    bench.click_disk(3)

    assert bench.controller.focus.image is image
    assert bench.frames_with() == [3]
    assert bench.messages == []


def test_prompts_of_a_removed_image_are_not_asked_about(bench: Bench) -> None:
    bench.click_disk(0)
    points = bench.workspace.prompts.points
    bench.viewer.layers.remove(bench.image)

    points.add((0, 40, 40))

    assert len(bench.asked) == 1
    assert bench.messages == []


def test_prompt_layers_of_a_removed_image_draw_no_longer(bench: Bench) -> None:
    bench.click_disk(0)
    points = bench.workspace.prompts.points

    bench.viewer.layers.remove(bench.image)

    assert points.mode == "pan_zoom"


def test_other_pixels_of_the_same_size_are_seen_anew(bench: Bench) -> None:
    bench.click_disk(0)

    bench.image.data = MOVIE[::-1]
    bench.click(0, 30, 20)

    assert bench.backend.encoded == 2
    assert bench.workspace.prompts.points.data.shape == (2, 3)


def test_pixels_of_another_size_begin_a_new_work(bench: Bench) -> None:
    bench.click_disk(0)

    bench.image.data = disk_frames(PATH, shape=(80, 90))
    bench.click(0, 70, 80)

    assert bench.mask(0).shape == (80, 90)
    assert bench.mask(0)[70, 80]


def test_stack_that_becomes_one_image_has_one_frame(bench: Bench) -> None:
    bench.click_disk(0)

    bench.image.data = MOVIE[0]
    bench.click(30, 30)

    assert bench.controller.focus.axes is not None
    assert bench.controller.focus.axes.count == 1
    assert bench.mask()[30, 30]


def test_image_that_becomes_a_stack_has_frames() -> None:
    bench = Bench()
    bench.add_image(MOVIE[0])

    bench.image.data = MOVIE

    assert bench.controller.focus.axes is not None
    assert bench.controller.focus.axes.count == 10


def test_deleted_labels_layer_takes_its_object_along(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.viewer.layers.remove(bench.labels[0])

    assert [obj.id for obj in bench.workspace.objects] == [2]
    assert bench.controller.starts == {2: [0]}
    assert bench.mask(0, object_id=2)[40, 40]


def test_layers_follow_their_image_when_it_is_given_a_pixel_size(bench: Bench) -> None:
    bench.click_disk(0)
    bench.controller.search.find_everything()

    bench.image.scale = (1, 0.5, 0.5)
    bench.image.translate = (0, 3, 0)
    bench.controller.choose_tool("positive")
    bench.click_disk(1)

    assert bench.mask(1)[PATH[1]]
    layers = [one for one in bench.viewer.layers if one is not bench.image]
    assert len(layers) > 3
    for layer in layers:
        np.testing.assert_array_equal(layer.scale, bench.image.scale)
        np.testing.assert_array_equal(layer.translate, bench.image.translate)


def test_prompts_of_another_image_run_along_its_own_axis(bench: Bench) -> None:
    bench.click_disk(0)
    annotation = bench.controller.annotation
    other = bench.add_image(np.repeat(MOVIE[None], 2, axis=0))
    bench.controller.focus.choose_image(other)

    annotation.workspace.prompts.points.add((3, *PATH[3]))

    assert bench.messages == []
    assert np.asarray(annotation.workspace.results.layer_of(1).data[3])[PATH[3]]


def stored(bench: Bench) -> list[np.ndarray]:
    """Read the labels that lie on disk, whoever still knows of them."""
    group = zarr.open_group(bench.workspace.folder.path / "labels.zarr", mode="r")
    return [np.asarray(group[name]["0"]) for name in sorted(group.group_keys())]


@pytest.mark.parametrize("layout", ["layer per object", "one layer"])
def test_masks_stay_on_disk_when_all_layers_are_taken_away(bench: Bench, layout: Layout) -> None:
    bench.controller.choose_layout(layout)
    bench.click_disk(0)
    seen = bench.mask(0)
    folder = bench.workspace.folder.path

    bench.viewer.layers.clear()

    (labels,) = zarr.open_group(folder / "labels.zarr", mode="r").groups()
    np.testing.assert_array_equal(np.asarray(labels[1]["0"])[0] == 1, seen)


def test_masks_of_a_deleted_layer_are_not_written_over(bench: Bench) -> None:
    bench.controller.choose_layout("one layer")
    bench.click(0, 20, 20)

    bench.viewer.layers.remove(bench.labels[0])
    bench.click(0, 40, 40)

    before, after = stored(bench)
    assert before[0, 20, 20]
    assert not before[0, 40, 40]
    assert after[0, 40, 40]


def test_labels_layer_deleted_during_a_run_is_left_alone(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(3)

    held.viewer.layers.remove(held.labels[0])
    held.jobs.streams[0].finish()

    assert held.labels == []
    assert held.messages == []


def test_deleted_layer_of_all_objects_comes_back_with_the_next_click(bench: Bench) -> None:
    bench.controller.choose_layout("one layer")
    bench.click(0, 20, 20)

    bench.viewer.layers.remove(bench.labels[0])
    bench.click(0, 40, 40)

    assert len(bench.labels) == 1
    assert bench.labels[0].data[0][40, 40]
    assert not bench.labels[0].data[0][20, 20]


def test_labels_layer_of_the_user_is_no_concern(bench: Bench) -> None:
    bench.click_disk(0)
    own = bench.viewer.add_labels(np.ones(MOVIE.shape, np.uint8))

    bench.viewer.layers.remove(own)

    assert bench.mask(0).any()
    assert len(bench.workspace.objects) == 1


def test_deleted_prompt_layers_come_back_with_the_next_click(bench: Bench) -> None:
    bench.click(0, 20, 20)
    prompts = bench.workspace.prompts
    bench.viewer.layers.remove(prompts.points)
    bench.viewer.layers.remove(prompts.shapes)

    bench.click(0, 20, 24)

    assert prompts.points in bench.viewer.layers
    assert prompts.shapes in bench.viewer.layers
    assert bench.asked[-1].points.tolist() == [[20, 20], [20, 24]]


def test_objects_move_to_one_layer_and_back(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.controller.choose_layout("one layer")
    (together,) = bench.labels
    bench.controller.choose_layout("layer per object")

    assert set(np.unique(together.data[0])) <= {0, 1, 2}
    assert [layer.name for layer in bench.labels] == ["cell 1", "cell 2"]
    np.testing.assert_array_equal(bench.mask(0, object_id=2), ellipse((64, 64), (40, 40), (6, 6)))


def test_pixels_that_objects_shared_are_told_when_one_has_to_have_them(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 20, 24)
    shared = int((bench.mask(0) & bench.mask(0, object_id=2)).sum())

    bench.controller.choose_layout("one layer")

    assert shared
    assert len(bench.messages) == 1
    assert f"{shared} pixels" in bench.messages[0]


def test_nothing_is_told_where_no_objects_overlap(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.controller.choose_layout("one layer")
    bench.controller.choose_layout("layer per object")

    assert not bench.messages


def test_scores_are_shown_in_the_new_layout_too(bench: Bench) -> None:
    bench.click(0, 20, 20)

    bench.controller.choose_layout("one layer")

    assert bench.labels[0].features["name"].tolist() == ["cell 1"]


def test_layout_is_that_of_the_next_image_too(bench: Bench) -> None:
    bench.controller.choose_layout("one layer")
    bench.click(0, 20, 20)
    bench.next_object()

    bench.click(0, 40, 40)

    assert len(bench.labels) == 1


def test_layout_stays_when_there_is_no_room_for_another(bench: Bench, disk: Disk) -> None:
    bench.click(0, 20, 20)
    disk.is_full = True

    bench.controller.choose_layout("one layer")

    assert len(bench.messages) == 1
    assert bench.controller.annotations.layout == "layer per object"
    assert bench.mask(0)[20, 20]


def test_masks_are_on_disk_from_the_first_click(bench: Bench, cache: Path) -> None:
    bench.click(0, 20, 20)

    (folder,) = cache.glob("sessions/*/labels.zarr/object-1")
    assert np.asarray(zarr.open_group(folder)["0"][0]).any()


def test_nothing_is_on_disk_before_the_first_mask(bench: Bench, cache: Path) -> None:
    bench.controller.choose_tool("box")

    assert not cache.exists()


def test_masks_lie_below_the_prompts_and_over_the_image(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.add_image(MOVIE, name="later")
    bench.viewer.layers.selection.active = bench.workspace.prompts.points
    bench.next_object()
    bench.click(0, 40, 40)

    names = [layer.name for layer in bench.viewer.layers]
    assert names.index("pixels") < names.index("cell 2") < names.index("pixels outlines")


def test_mask_that_appears_leaves_the_layer_at_work_active(held: Bench) -> None:
    held.click(0, 20, 20)
    held.viewer.layers.selection.active = held.image

    held.jobs.run_all()

    assert held.viewer.layers.selection.active is held.image
