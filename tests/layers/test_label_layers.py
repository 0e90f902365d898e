from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam3.engine import StorageError
from napari_sam3.layers.label_layers import Layout, ResultLayers, ScoreRow, default_folder
from napari_sam3.storage.label_store import LabelArray
from napari_sam3.values.boxes import FrameIndex
from tests.layers.results import (
    BLUE,
    HERE,
    RED,
    THERE,
    ResultBench,
    disk,
    fill_disk,
    seen,
    session_folder,
)
from tests.masks import mask_of


def test_joining_layers_keeps_all_masks_and_edits(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    bench.results.write(HERE, 2, mask_of(disk(20, 35)))
    bench.results.write(THERE, 2, mask_of(disk(40, 60)))
    bench.results.layer_of(2).paint((*HERE, 50, 70), 2)

    bench.results.change_layout("one layer")

    assert [layer.name for layer in bench.labels] == ["Image objects"]
    np.testing.assert_array_equal(bench.results.mask(HERE, 1).pixels, disk(20, 30))
    np.testing.assert_array_equal(bench.results.mask(THERE, 2).pixels, disk(40, 60))
    assert bench.results.mask(HERE, 2).pixels[50, 70]
    assert bench.results.edited({1, 2}) == {(HERE, 2)}


def test_parting_a_layer_makes_one_for_every_object(shared: ResultBench) -> None:
    shared.results.write(HERE, 1, mask_of(disk(20, 30)))
    shared.results.write(HERE, 2, mask_of(disk(40, 60)))
    shared.labels[0].paint((*HERE, 5, 5), 1)
    before = shared.results.mask(HERE, 1).pixels

    shared.results.change_layout("layer per object")

    assert [layer.name for layer in shared.labels] == ["cell 1", "cell 2"]
    np.testing.assert_array_equal(shared.results.mask(HERE, 1).pixels, before)
    assert shared.results.edited({1, 2}) == {(HERE, 1)}


def test_edits_of_objects_that_share_a_layer_are_looked_for_once(
    shared: ResultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[LabelArray] = []
    differing = LabelArray.edited_frames

    def look(array: LabelArray) -> list[FrameIndex]:
        looked.append(array)
        return differing(array)

    monkeypatch.setattr(LabelArray, "edited_frames", look)
    shared.results.write(HERE, 1, mask_of(disk(20, 30)))
    shared.results.write(HERE, 2, mask_of(disk(40, 60)))
    shared.labels[0].paint((*HERE, 5, 5), 1)

    edited = shared.results.edited(frozenset(range(1, 100)))

    assert edited == {(HERE, 1)}
    assert len(looked) == 1


def test_label_painted_on_the_layer_of_another_object_is_no_edit(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    bench.results.write(HERE, 2, mask_of(disk(40, 60)))

    bench.results.layer_of(1).paint((*HERE, 5, 5), 2)

    assert bench.results.edited({1, 2}) == set()
    assert bench.results.edited({1}) == set()


def test_layouts_can_be_changed_back_and_forth(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))

    for layout in ("one layer", "layer per object", "one layer"):
        bench.results.change_layout(layout)

    assert len(bench.labels) == 1
    np.testing.assert_array_equal(bench.results.mask(HERE, 1).pixels, disk(20, 30))


def test_on_a_full_disk_the_layout_stays(
    bench: ResultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    before = bench.labels
    fill_disk(monkeypatch)

    with pytest.raises(StorageError):
        bench.results.change_layout("one layer")

    assert bench.results.layout == "layer per object"
    assert bench.labels == before
    np.testing.assert_array_equal(bench.results.mask(HERE, 1).pixels, disk(20, 30))


def test_on_a_full_disk_no_layer_appears(
    bench: ResultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fill_disk(patch)
        with pytest.raises(StorageError, match="No room left on disk"):
            bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    assert bench.labels == []

    bench.results.write(HERE, 1, mask_of(disk(20, 30)))

    assert len(bench.labels) == 1


def test_on_a_full_disk_what_was_done_stays(
    bench: ResultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    fill_disk(monkeypatch)

    with pytest.raises(StorageError):
        bench.results.write(HERE, 1, mask_of(disk(40, 60)))

    np.testing.assert_array_equal(bench.results.mask(HERE, 1).pixels, disk(20, 30))
    np.testing.assert_array_equal(seen(bench.labels[0]), disk(20, 30) * 1)
    assert not bench.results.is_edited(HERE, 1)


def test_the_first_mask_makes_the_layer_of_its_object(bench: ResultBench) -> None:
    assert bench.results.layer_of(1) is None

    bench.results.write(HERE, 1, mask_of(disk(20, 30)))

    layer = bench.results.layer_of(1)
    assert bench.labels == [layer]
    assert layer.name == "cell 1"
    np.testing.assert_array_equal(layer.get_color(1), RED)
    np.testing.assert_array_equal(seen(layer), disk(20, 30) * 1)


def test_the_layer_lies_exactly_on_the_image(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))

    corner = (2, 3, 59, 79)
    np.testing.assert_allclose(
        bench.labels[0].data_to_world(corner), bench.image.data_to_world(corner)
    )
    assert bench.labels[0].data.shape == bench.image.data.shape


def test_an_empty_mask_makes_no_layer(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(np.zeros((60, 80), bool)))

    assert bench.labels == []
    assert not bench.results.folder.path.exists()


def test_objects_with_their_own_layers_overlap(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    bench.results.write(HERE, 2, mask_of(disk(20, 35)))

    assert len(bench.labels) == 2
    np.testing.assert_array_equal(bench.results.mask(HERE, 1).pixels, disk(20, 30))
    np.testing.assert_array_equal(bench.results.mask(HERE, 2).pixels, disk(20, 35))


def test_in_one_layer_committed_pixels_are_kept(shared: ResultBench) -> None:
    shared.results.write(HERE, 1, mask_of(disk(20, 30)))
    shared.results.write(HERE, 2, mask_of(disk(20, 35)))

    assert len(shared.labels) == 1
    np.testing.assert_array_equal(shared.results.mask(HERE, 1).pixels, disk(20, 30))
    np.testing.assert_array_equal(shared.results.mask(HERE, 2).pixels, disk(20, 35) & ~disk(20, 30))


def test_in_one_layer_committed_pixels_are_overwritten_on_demand(shared: ResultBench) -> None:
    shared.results.keeps_committed = False

    shared.results.write(HERE, 1, mask_of(disk(20, 30)))
    shared.results.write(HERE, 2, mask_of(disk(20, 35)))

    np.testing.assert_array_equal(shared.results.mask(HERE, 2).pixels, disk(20, 35))


def test_one_layer_has_the_colors_of_all_objects(shared: ResultBench) -> None:
    shared.results.write(HERE, 1, mask_of(disk(20, 30)))
    shared.results.write(HERE, 2, mask_of(disk(40, 60)))

    np.testing.assert_array_equal(shared.labels[0].get_color(1), RED)
    np.testing.assert_array_equal(shared.labels[0].get_color(2), BLUE)


def test_an_object_can_be_renamed_and_recolored(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))

    bench.results.describe(1, "mother", BLUE)

    assert bench.labels[0].name == "mother"
    np.testing.assert_array_equal(bench.labels[0].get_color(1), BLUE)


def test_a_frame_that_is_not_in_view_is_written_but_not_drawn(
    bench: ResultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    drawn = []
    bench.labels[0].events.set_data.connect(lambda: drawn.append(1))

    bench.results.write(THERE, 1, mask_of(disk(40, 60)))
    assert drawn == []

    bench.results.write(HERE, 1, mask_of(disk(21, 30)))
    assert drawn == [1]
    np.testing.assert_array_equal(bench.results.mask(THERE, 1).pixels, disk(40, 60))


@pytest.mark.parametrize("layout", ["layer per object", "one layer"])
def test_a_removed_object_is_gone_from_all_frames(tmp_path: Path, layout: Layout) -> None:
    bench = ResultBench(tmp_path, layout)
    for frame_index in (HERE, THERE):
        bench.results.write(frame_index, 1, mask_of(disk(20, 30)))
        bench.results.write(frame_index, 2, mask_of(disk(40, 60)))
    bench.results.layer_of(1).paint((*HERE, 5, 5), 1)

    bench.results.remove_objects([1])

    for frame_index in (HERE, THERE):
        assert not bench.results.mask(frame_index, 1).pixels.any()
        np.testing.assert_array_equal(bench.results.mask(frame_index, 2).pixels, disk(40, 60))
    assert len(bench.labels) == 1


def test_a_removed_object_can_come_back(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    bench.results.remove_objects([1])

    bench.results.write(HERE, 1, mask_of(disk(40, 60)))

    np.testing.assert_array_equal(bench.results.mask(HERE, 1).pixels, disk(40, 60))


def test_scores_are_told_where_the_mouse_points(shared: ResultBench) -> None:
    shared.results.write(HERE, 1, mask_of(disk(20, 30)))
    shared.results.write(HERE, 2, mask_of(disk(40, 60)))

    shared.results.show_scores([ScoreRow(1, "cell 1", 0.931, 197), ScoreRow(2, "cell 2", 0.5, 180)])

    layer = shared.labels[0]
    status = layer.get_status(layer.data_to_world((*HERE, 20, 30)), world=True)
    assert "name: cell 1" in status["value"]
    assert "score: 0.93" in status["value"]
    assert layer.features["index"].tolist() == [1, 2]


def test_every_layer_tells_the_score_of_its_own_object(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, mask_of(disk(20, 30)))
    bench.results.write(HERE, 2, mask_of(disk(40, 60)))

    bench.results.show_scores([ScoreRow(2, "cell 2", 0.5, 180)])

    assert bench.results.layer_of(1).features["name"].tolist() == []
    assert bench.results.layer_of(2).features["area"].tolist() == [180]


def test_a_single_image_holds_results_too(tmp_path: Path) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((60, 80)), rotate=30, shear=[0.2])
    results = ResultLayers(image, session_folder(image, tmp_path / "one.sam3"))
    results.added.connect(viewer.add_layer)

    results.write((), 1, mask_of(disk(20, 30)))

    np.testing.assert_array_equal(seen(viewer.layers[1]), disk(20, 30) * 1)
    np.testing.assert_allclose(viewer.layers[1].data_to_world((9, 9)), image.data_to_world((9, 9)))


def test_results_of_a_color_image_have_no_color_axis(tmp_path: Path) -> None:
    image = ViewerModel().add_image(np.zeros((5, 60, 80, 3), np.uint8), rgb=True)
    results = ResultLayers(image, session_folder(image, tmp_path / "photo.sam3"))

    results.write((3,), 1, mask_of(disk(20, 30)))

    assert results.layers()[0].data.shape == (5, 60, 80)


def test_default_folders_are_new_and_named_after_the_image() -> None:
    one, other = default_folder("my movie: 3/4.tif"), default_folder("my movie: 3/4.tif")

    assert one.name.endswith("-my-movie-3-4.tif.sam3")
    assert one.parent.name == "sessions"
    assert one != other
    assert not one.exists()
