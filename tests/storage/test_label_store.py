from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Labels
from zarr.storage import LocalStore

from napari_sam3.engine import StorageError
from napari_sam3.io.ome_zarr_labels import write_labels_zarr
from napari_sam3.layers.candidate_layers import FaintOutlines
from napari_sam3.layers.label_layers import Layout, ResultLayers, ScoreRow
from napari_sam3.storage import CHOOSE_CACHE
from napari_sam3.storage.hand_edits import LabelPlane
from napari_sam3.storage.label_store import LabelArray, LabelStore
from napari_sam3.values import Box, Mask
from tests.large import SIDE, disk_at
from tests.layers.results import BLUE, RED, seen, session_folder


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "movie.sam3")


@pytest.fixture
def array(store: LabelStore) -> LabelArray:
    return store.create("object-1", (3, 12, 40, 50))


def plane(value: int, twin: int | None = None) -> LabelPlane:
    model = value if twin is None else twin
    return LabelPlane(np.full((40, 50), value, np.uint16), np.full((40, 50), model, np.uint16))


def files_of(array: LabelArray) -> list[Path]:
    return [file for file in array.folder.rglob("*") if file.is_file() and file.suffix != ".json"]


def refuse_chunks(monkeypatch: pytest.MonkeyPatch, outcomes: Iterable[bool]) -> None:
    """Let the disk take the next chunks, or be full, as the outcomes say; then be full."""
    there_is_room = iter(outcomes)
    put = LocalStore.set

    async def put_or_refuse(self: LocalStore, key: str, value: object) -> None:
        if not next(there_is_room, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        await put(self, key, value)

    monkeypatch.setattr(LocalStore, "set", put_or_refuse)


def test_nothing_is_on_disk_before_it_is_needed(store: LabelStore) -> None:
    assert not store.path.exists()


def test_a_frame_is_read_as_it_was_written(array: LabelArray) -> None:
    array.write((2, 11), plane(7, twin=3))

    frame = array.read((2, 11))
    assert (frame.shown == 7).all()
    assert (frame.model == 3).all()
    assert not array.read((2, 10)).shown.any()


def test_frames_with_labels_are_those_written_on(array: LabelArray) -> None:
    array.write((2, 11), plane(7))
    array.write((0, 3), plane(0, twin=7))
    array.write((0, 2), plane(7, twin=0))

    assert array.frame_indices() == [(0, 2), (0, 3), (2, 11)]


def test_a_single_image_has_the_empty_frame_index(store: LabelStore) -> None:
    array = store.create("object-1", (40, 50))
    array.write((), plane(7))

    assert array.frame_indices() == [()]
    assert (array.read(()).shown == 7).all()


def test_every_frame_is_one_chunk(array: LabelArray) -> None:
    assert array.shown.chunks == (1, 1, 40, 50)


def test_an_empty_frame_costs_nothing(array: LabelArray) -> None:
    array.write((0, 0), plane(0))

    assert files_of(array) == []


def test_a_frame_that_becomes_empty_is_deleted(array: LabelArray) -> None:
    array.write((0, 0), plane(7))
    array.write((0, 0), plane(0))

    assert files_of(array) == []
    assert array.frame_indices() == []


def test_a_full_disk_is_one_clear_sentence(
    array: LabelArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_chunks(monkeypatch, [])

    with pytest.raises(StorageError, match=r"No room left on disk in .*labels\.zarr: free some"):
        array.write((0, 0), plane(7))


@pytest.mark.parametrize("outcomes", [[], [True, False, True]])
def test_on_a_full_disk_a_frame_stays_as_it_was(
    array: LabelArray, monkeypatch: pytest.MonkeyPatch, outcomes: list[bool]
) -> None:
    array.write((0, 0), plane(7))
    refuse_chunks(monkeypatch, outcomes)

    with pytest.raises(StorageError):
        array.write((0, 0), plane(8))

    frame = array.read((0, 0))
    assert (frame.shown == 7).all()
    assert (frame.model == 7).all()


def test_an_array_that_cannot_be_made_leaves_nothing(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refuse_chunks(patch, [True, True])
        with pytest.raises(StorageError):
            store.create("object-1", (3, 40, 50))

    array = store.create("object-1", (3, 40, 50))
    assert array.frame_indices() == []


def test_a_folder_that_cannot_be_written_names_the_reason(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")

    with pytest.raises(StorageError, match="NAPARI_SAM3_CACHE set to another folder"):
        LabelStore(tmp_path / "taken", remedy=CHOOSE_CACHE).create("object-1", (3, 40, 50))


def test_labels_of_an_earlier_session_are_not_overwritten(store: LabelStore) -> None:
    store.create("object-1", (3, 40, 50)).write((0,), plane(7))

    with pytest.raises(StorageError, match="already holds labels named object-1"):
        LabelStore(store.path.parent).create("object-1", (3, 40, 50))


def test_a_name_that_is_taken_gets_a_number(store: LabelStore) -> None:
    names = []
    for _ in range(3):
        names.append(store.free_name("objects"))
        store.create(names[-1], (3, 40, 50))

    assert names == ["objects", "objects-2", "objects-3"]


def test_a_deleted_array_can_be_made_again(store: LabelStore) -> None:
    store.create("object-1", (3, 40, 50)).write((0,), plane(7))
    store.delete("object-1")

    assert store.create("object-1", (3, 40, 50)).frame_indices() == []


def test_labels_can_be_read_by_zarr_alone(store: LabelStore) -> None:
    store.create("object-1", (3, 40, 50)).write((1,), plane(7))

    labels = zarr.open_array(store.path / "object-1" / "0", mode="r")

    assert labels.dtype == np.uint16
    assert (labels[1] == 7).all()


class LargeBench:
    """Results on an image of 20 000 x 20 000 pixels."""

    def __init__(self, folder: Path, layout: Layout = "layer per object", frames: int = 0) -> None:
        self.viewer = ViewerModel()
        first = (frames,) if frames else ()
        black = [np.broadcast_to(np.uint8(0), (*first, *(SIDE >> step,) * 2)) for step in range(5)]
        self.image = self.viewer.add_image(black, multiscale=True, contrast_limits=(0, 255))
        path = folder / "slide.sam3"
        self.results = ResultLayers(self.image, session_folder(self.image, path), layout)
        self.results.added.connect(self.viewer.add_layer)
        self.results.removed.connect(self.viewer.layers.remove)
        self.results.describe(1, "cell 1", RED)
        self.results.describe(2, "cell 2", BLUE)

    @property
    def labels(self) -> list[Labels]:
        return [layer for layer in self.viewer.layers if isinstance(layer, Labels)]

    def write(self, object_id: int, row: int, col: int, place: tuple[int, ...] = ()) -> Box:
        """Write the disk of this row and column of disks, and return its box."""
        box, mask = disk_at(row, col)
        self.results.write(place, object_id, Mask(mask, box, (SIDE, SIDE)))
        return box


@pytest.fixture
def bench(tmp_path: Path) -> LargeBench:
    return LargeBench(tmp_path)


@pytest.fixture
def shared(tmp_path: Path) -> LargeBench:
    return LargeBench(tmp_path, "one layer")


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pixels each reading and writing of a zarr array had to do with."""
    counts: list[int] = []
    get, put = zarr.Array.__getitem__, zarr.Array.__setitem__

    def getting(array: Any, where: Any) -> Any:
        found = get(array, where)
        counts.append(np.size(found))
        return found

    def putting(array: Any, where: Any, what: Any) -> None:
        counts.append(np.size(what))
        put(array, where, what)

    monkeypatch.setattr(zarr.Array, "__getitem__", getting)
    monkeypatch.setattr(zarr.Array, "__setitem__", putting)
    return counts


def test_a_mask_of_a_large_image_is_shown_at_every_level(bench: LargeBench) -> None:
    bench.write(1, 30, 40)

    (layer,) = bench.labels
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(SIDE >> step,) * 2 for step in range(5)]
    row, col = 30 * 250 + 125, 40 * 250 + 125
    assert [level[row >> step, col >> step] for step, level in enumerate(layer.data)] == [1] * 5
    assert [level[row >> step, (col + 60) >> step] for step, level in enumerate(layer.data)] == (
        [0] * 5
    )


def test_the_layer_lies_exactly_on_the_large_image(bench: LargeBench) -> None:
    bench.write(1, 30, 40)

    np.testing.assert_allclose(bench.labels[0].extent.world, bench.image.extent.world)


def test_a_mask_touches_no_more_than_the_tiles_it_meets(
    bench: LargeBench, touched: list[int]
) -> None:
    bench.write(1, 30, 40)
    touched.clear()
    bench.viewer.layers.clear()

    bench.write(1, 30, 40)
    bench.write(1, 31, 40)
    mask = bench.results.mask((), 1)

    assert mask.box == disk_at(31, 40)[0]
    np.testing.assert_array_equal(mask.crop, disk_at(31, 40)[1])
    assert max(touched) <= max((41 + 250) * 43, 1250**2)  # napari reads the smallest level whole


def test_results_of_a_large_image_take_little_room_on_disk(bench: LargeBench) -> None:
    for index in range(20):
        bench.write(1, 30 + index % 2, 40)

    size = sum(
        file.stat().st_size for file in bench.results.folder.path.rglob("*") if file.is_file()
    )
    assert size < 200_000


def test_a_moved_mask_leaves_nothing_behind(bench: LargeBench) -> None:
    before = bench.write(1, 30, 40)

    after = bench.write(1, 30, 42)

    finest = bench.labels[0].data[0]
    assert not finest[before[0] : before[2], before[1] : before[3]].any()
    np.testing.assert_array_equal(
        finest[after[0] : after[2], after[1] : after[3]] == 1, disk_at(30, 42)[1]
    )
    assert [level[:].any() for level in bench.labels[0].data[2:]] == [True] * 3


def test_an_erased_mask_is_gone_from_every_level(bench: LargeBench) -> None:
    bench.write(1, 30, 40)

    bench.results.erase((), 1)

    assert not any(level[:].any() for level in bench.labels[0].data[2:])
    assert bench.results.mask((), 1).crop.size == 0


def test_an_empty_mask_takes_the_place_of_an_earlier_one(bench: LargeBench) -> None:
    bench.write(1, 30, 40)

    bench.results.write((), 1, Mask.absent((SIDE, SIDE)))

    assert not any(level[:].any() for level in bench.labels[0].data[2:])


def test_in_one_layer_committed_pixels_of_a_large_image_are_kept(shared: LargeBench) -> None:
    box = shared.write(1, 30, 40)
    larger = Box(box[0] - 5, box[1] - 5, box[2] + 5, box[3] + 5)

    shared.results.write((), 2, Mask(np.ones((51, 51), bool), larger, (SIDE, SIDE)))

    mask = shared.results.mask((), 1).crop
    np.testing.assert_array_equal(mask, disk_at(30, 40)[1])
    assert shared.results.mask((), 2).crop.sum() == 51**2 - mask.sum()


def test_a_new_mask_is_seen_while_zoomed_out(bench: LargeBench) -> None:
    bench.write(1, 30, 40)
    layer = bench.labels[0]
    assert layer.data_level == 4
    layer.corner_pixels = np.array([[0, 0], [1249, 1249]])
    layer.refresh()

    bench.write(1, 50, 60)

    seen = np.asarray(layer._slice.image.raw)
    row, col = (50 * 250 + 125) >> 4, (60 * 250 + 125) >> 4
    assert seen[row, col] == 1
    assert not seen[(30 * 250 + 125) >> 4, (40 * 250 + 125) >> 4]


def test_the_layer_says_that_a_large_image_is_not_painted_on(bench: LargeBench) -> None:
    bench.write(1, 30, 40)

    assert not bench.labels[0].editable
    assert "does not paint" in bench.labels[0].metadata["painting"]


def test_the_mouse_tells_scores_on_a_large_image(bench: LargeBench) -> None:
    bench.write(1, 30, 40)
    bench.results.show_scores([ScoreRow(1, "cell 1", 0.93, 1257)])

    assert bench.labels[0].features["name"].tolist() == ["cell 1"]


@pytest.mark.parametrize("layout", ["layer per object", "one layer"])
def test_an_object_is_removed_from_all_large_frames(tmp_path: Path, layout: Layout) -> None:
    bench = LargeBench(tmp_path, layout, frames=3)
    for place in ((0,), (2,)):
        bench.write(1, 30, 40, place)
        bench.write(2, 30, 41, place)

    bench.results.remove_objects([1])

    for place in ((0,), (2,)):
        assert not bench.results.mask(place, 1).crop.any()
        np.testing.assert_array_equal(bench.results.mask(place, 2).crop, disk_at(30, 41)[1])


def test_results_of_large_frames_change_their_layout(tmp_path: Path) -> None:
    bench = LargeBench(tmp_path, frames=3)
    bench.write(1, 30, 40, (0,))
    bench.write(2, 50, 60, (2,))

    for layout, count in (("one layer", 1), ("layer per object", 2)):
        bench.results.change_layout(layout)

        assert len(bench.labels) == count
        np.testing.assert_array_equal(bench.results.mask((0,), 1).crop, disk_at(30, 40)[1])
        np.testing.assert_array_equal(bench.results.mask((2,), 2).crop, disk_at(50, 60)[1])
    assert bench.results.edited({1, 2}) == set()


@pytest.mark.parametrize("frames", [3, 30])
def test_a_step_of_the_slider_reads_the_frame_it_shows_alone(
    tmp_path: Path, touched: list[int], frames: int
) -> None:
    bench = LargeBench(tmp_path, frames=frames)
    bench.viewer.dims.set_current_step(0, 1)
    bench.write(1, 30, 40, (2,))
    touched.clear()

    bench.viewer.dims.set_current_step(0, 2)

    assert seen(bench.labels[0]).any()
    assert touched == [1250**2] * 2  # of the smallest level, for the canvas and the layer list


def test_a_step_of_the_slider_reads_what_is_in_view_alone(
    tmp_path: Path, touched: list[int]
) -> None:
    bench = LargeBench(tmp_path, frames=3)
    bench.viewer.dims.set_current_step(0, 1)
    box = bench.write(1, 30, 40, (2,))
    (layer,) = bench.labels
    layer._update_draw(1, np.array([box[:2], box[2:]]), (400, 400))
    assert layer.data_level == 0
    touched.clear()

    bench.viewer.dims.set_current_step(0, 2)

    assert seen(layer).sum() == disk_at(30, 40)[1].sum()
    assert touched == [512**2, 1250**2]  # a tile, and the smallest level for the layer list


def test_a_stack_of_large_frames_is_shown_in_3d_and_from_the_side(tmp_path: Path) -> None:
    bench = LargeBench(tmp_path, frames=3)
    bench.write(1, 30, 40, (2,))
    (layer,) = bench.labels
    row, col = (30 * 250 + 125) >> 4, (40 * 250 + 125) >> 4

    bench.viewer.dims.ndisplay = 3

    assert [bool(frame[row, col]) for frame in seen(layer)] == [False, False, True]

    bench.viewer.dims.ndisplay = 2
    bench.viewer.dims.order = (1, 0, 2)
    bench.viewer.dims.set_current_step(1, 30 * 250 + 125)

    assert [bool(frame[col]) for frame in seen(layer)] == [False, False, True]


@pytest.mark.parametrize("chunks_taken", [0, 1, 3])
def test_on_a_full_disk_a_large_frame_stays_as_it_was(
    bench: LargeBench, monkeypatch: pytest.MonkeyPatch, chunks_taken: int
) -> None:
    bench.write(1, 30, 40)
    with monkeypatch.context() as patch:
        refuse_a_chunk(patch, chunks_taken)
        with pytest.raises(StorageError, match="No room left on disk"):
            bench.write(1, 50, 60)

    mask = bench.results.mask((), 1)
    assert mask.box == disk_at(30, 40)[0]
    np.testing.assert_array_equal(mask.crop, disk_at(30, 40)[1])
    assert [np.count_nonzero(level[:] > 0) > 0 for level in bench.labels[0].data[3:]] == [True] * 2
    assert not bench.labels[0].data[2][50 * 250 >> 2 : 51 * 250 >> 2, 60 * 250 >> 2 :].any()


def refuse_a_chunk(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the disk take so many chunks, refuse one, and have room again."""
    outcomes = iter([True] * after + [False])
    put = LocalStore.set

    async def put_or_refuse(self: LocalStore, key: str, value: Any) -> None:
        if not next(outcomes, True):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        await put(self, key, value)

    monkeypatch.setattr(LocalStore, "set", put_or_refuse)


def test_labels_of_a_large_image_can_be_saved(bench: LargeBench, tmp_path: Path) -> None:
    box = bench.write(1, 30, 40)
    data, meta, _ = bench.labels[0].as_layer_data_tuple()

    (path,) = write_labels_zarr(str(tmp_path / "cells.zarr"), data, meta)

    saved = zarr.open_group(path, mode="r")["0"]
    assert saved.shape == (SIDE, SIDE)
    found = saved[box[0] : box[2], box[1] : box[3]]
    np.testing.assert_array_equal(found == 1, disk_at(30, 40)[1])


def test_candidates_that_do_not_count_cost_nothing_on_a_large_image(bench: LargeBench) -> None:
    before = psutil.Process().memory_info().rss

    outlines = FaintOutlines(bench.image)
    outlines.clear()

    assert outlines.layer.multiscale
    np.testing.assert_allclose(outlines.layer.extent.world, bench.image.extent.world)
    assert psutil.Process().memory_info().rss - before < SIDE * SIDE / 4
