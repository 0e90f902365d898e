"""Following objects through a stack."""

from __future__ import annotations

from collections.abc import Callable

import dask
import dask.array as da
import numpy as np
import pytest

from napari_sam3.controller import Reach
from tests.backends import disk_frames, ellipse
from tests.controller.bench import ALL, MOVIE, PATH, Bench
from tests.controller.conftest import Disk


def test_object_is_followed_both_ways(bench: Bench) -> None:
    bench.click_disk(4)

    bench.run()

    assert bench.frames_with() == list(range(10))
    for frame, centre in enumerate(PATH):
        np.testing.assert_array_equal(bench.mask(frame), ellipse((64, 64), centre, (6, 6)))


def test_object_is_followed_forward_only(bench: Bench) -> None:
    bench.click_disk(4)

    bench.run("forward")

    assert bench.frames_with() == list(range(4, 10))


def test_object_is_followed_backward_only(bench: Bench) -> None:
    bench.click_disk(4)

    bench.run("backward")

    assert bench.frames_with() == list(range(5))


def test_object_is_followed_within_a_range(bench: Bench) -> None:
    bench.click_disk(4)

    bench.run("both", first=3, last=6)

    assert bench.frames_with() == [3, 4, 5, 6]


def test_range_may_lie_beside_the_prompt(bench: Bench) -> None:
    bench.click_disk(1)

    bench.run("both", first=5, last=7)

    assert bench.frames_with() == [1, 5, 6, 7]


def test_empty_range_is_refused_in_a_sentence(bench: Bench) -> None:
    bench.click_disk(8)

    bench.run("forward", first=0, last=5)

    assert len(bench.messages) == 1
    assert "range holds no frame" in bench.messages[0]


def test_each_object_is_followed_from_where_it_is_known(bench: Bench) -> None:
    bench.click_disk(0)
    bench.next_object()
    bench.click_disk(5)

    bench.run("forward")

    assert bench.frames_with(1) == list(range(10))
    assert bench.frames_with(2) == [5, 6, 7, 8, 9]


def test_one_object_can_be_followed_alone(bench: Bench) -> None:
    bench.click_disk(0)
    bench.next_object()
    bench.click_disk(0)

    bench.run(only=2)

    assert bench.frames_with(1) == [0]
    assert bench.frames_with(2) == list(range(10))


def test_object_without_prompts_cannot_be_followed(bench: Bench) -> None:
    bench.click_disk(0)
    bench.next_object()

    bench.run("forward", only=2)

    assert bench.messages == ["Nothing marks an object in this stack yet: click on one first."]
    assert not bench.controller.is_running


def test_several_prompted_frames_are_kept(bench: Bench) -> None:
    bench.click_disk(0)
    bench.click(8, 50, 50)
    said = bench.mask(8)

    bench.run()

    np.testing.assert_array_equal(bench.mask(8), said)


def test_painted_frame_is_kept(bench: Bench) -> None:
    bench.click_disk(0)
    bench.run()
    bench.paint((5,), 50, 50)
    painted = bench.mask(5)

    bench.run()

    np.testing.assert_array_equal(bench.mask(5), painted)
    assert painted[50, 50]


def test_painted_frame_is_a_start_for_its_neighbours(bench_of: Callable[..., Bench]) -> None:
    movie = disk_frames([(10, 10), (10, 10), (50, 50), (50, 50)])
    bench = bench_of(movie)
    bench.click(0, 10, 10)
    bench.run()
    assert not bench.mask(2).any()

    bench.paint((2,), 50, 50)
    bench.run()

    assert bench.mask(3)[50, 50]


def test_frame_with_negative_points_only_is_followed_through(bench: Bench) -> None:
    bench.click_disk(0)
    bench.click(4, 5, 5, is_positive=False)
    bench.messages.clear()

    bench.run()

    assert bench.frames_with() == list(range(10))
    assert bench.messages == []


def test_scores_are_recorded_frame_by_frame(bench: Bench) -> None:
    bench.click_disk(0)

    bench.run()

    obj = bench.workspace.objects[1]
    assert bench.controller.progress_of(obj) == "10 of 10"
    assert obj.score == pytest.approx(0.9)


def test_lost_object_has_no_mask_and_no_score(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(disk_frames([(10, 10), (10, 10), (50, 50), (50, 50)]))
    bench.click(0, 10, 10)

    bench.run()

    assert not bench.mask(2).any()
    assert bench.controller.progress_of(bench.workspace.objects[1]) == "2 of 4"


def test_stack_is_followed_at_the_position_of_other_axes(
    bench_of: Callable[..., Bench],
) -> None:
    pixels = np.zeros((10, 3, 64, 64), np.uint8)
    pixels[:, 1] = MOVIE
    bench = bench_of(pixels, axis_labels=("t", "z", "y", "x"), contrast_limits=(0, 220))
    bench.click(0, 1, *PATH[0])

    bench.run()

    shown = bench.labels[0].data[:].any(axis=(2, 3))
    assert shown[:, 1].all()
    assert shown.sum() == 10


def test_stack_can_run_along_another_axis(bench_of: Callable[..., Bench]) -> None:
    pixels = np.zeros((3, 10, 64, 64), np.uint8)
    pixels[1] = MOVIE
    bench = bench_of(pixels, axis_labels=("t", "z", "y", "x"), contrast_limits=(0, 220))
    bench.controller.focus.choose_frame_axis(1)
    bench.click(1, 0, *PATH[0])

    bench.run()

    assert bench.labels[0].data[:].any(axis=(2, 3))[1].all()


def test_every_chunk_is_read_once(bench_of: Callable[..., Bench]) -> None:
    read: list[int] = []

    def load(block: np.ndarray, block_info: dict) -> np.ndarray:
        read.append(block_info[0]["chunk-location"][0])
        return block

    lazy = da.from_array(MOVIE, chunks=(1, 64, 64)).map_blocks(load, dtype=np.uint8)
    bench = bench_of(lazy, contrast_limits=(0, 220), cache=False)
    bench.click_disk(0)
    read.clear()

    bench.run()

    assert sorted(read) == list(range(1, 10))


def test_masks_appear_as_they_are_made(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()

    held.jobs.streams[0].advance(3)

    assert held.frames_with() == [0, 1, 2]
    assert held.controller.is_running


def test_progress_counts_the_masks_of_the_run(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run("both", first=0, last=4)

    held.jobs.streams[0].advance(2)

    progress = held.controller.progress
    assert progress is not None
    assert (progress.done, progress.total) == (2, 5)
    assert progress.seconds_left is not None


def test_run_ends_when_its_only_prompt_is_taken_back(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(2)

    held.controller.undo()
    held.jobs.run_all()
    held.jobs.streams[0].advance(3)

    assert not held.controller.is_running
    assert held.jobs.streams[0].is_stopped
    assert not held.mask(4).any()
    assert held.messages == []


def test_run_goes_on_with_objects_whose_prompts_are_still_there(held: Bench) -> None:
    held.click_disk(0)
    held.next_object()
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(2)

    held.controller.undo()
    held.jobs.run_all()
    held.jobs.streams[0].finish()

    assert held.frames_with(1) == list(ALL)
    assert not held.workspace.results.mask((9,), 2).pixels.any()


def test_run_ends_when_all_is_done(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()

    held.jobs.streams[0].finish()

    assert not held.controller.is_running
    assert held.controller.progress is None
    assert held.messages == []


def test_stopped_run_keeps_what_is_done(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(3)

    held.controller.stop()
    held.jobs.streams[0].finish()

    assert held.frames_with() == [0, 1, 2]
    assert not held.controller.is_running


def test_new_run_works_after_a_stop(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(3)
    held.controller.stop()

    held.run()
    held.jobs.streams[1].finish()

    assert held.frames_with() == list(range(10))


def test_late_end_of_a_stopped_run_is_not_the_end_of_the_next(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.controller.stop()
    held.run()

    held.jobs.streams[0].finish()

    assert held.controller.is_running


def test_second_run_stops_the_first(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()

    held.run()

    assert [stream.is_stopped for stream in held.jobs.streams] == [True, False]


def test_click_is_answered_during_a_run(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(3)

    held.click(8, 50, 50)
    held.jobs.run_all()

    assert held.mask(8)[50, 50]
    assert held.controller.is_running


def test_click_during_a_run_is_not_overwritten(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(3)
    held.click(8, 50, 50)
    held.jobs.run_all()
    said = held.mask(8)

    held.jobs.streams[0].finish()

    np.testing.assert_array_equal(held.mask(8), said)
    assert held.frames_with() == list(range(10))


def test_click_that_still_waits_is_not_overwritten_either(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.click(8, 50, 50)

    held.jobs.streams[0].finish()
    held.jobs.run_all()

    np.testing.assert_array_equal(held.mask(8), ellipse((64, 64), (50, 50), (6, 6)))


def test_paint_during_a_run_is_not_lost(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(3)
    held.paint((8,), 55, 5)

    held.jobs.streams[0].finish()

    assert held.mask(8)[55, 5]


def test_object_removed_during_a_run_does_not_come_back(held: Bench) -> None:
    held.click_disk(0)
    held.next_object()
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(4)

    held.controller.remove_object(2)
    held.jobs.streams[0].finish()

    assert [layer.name for layer in held.labels] == ["cell 1"]
    assert held.frames_with() == list(range(10))


def test_later_objects_keep_off_the_pixels_of_earlier_ones(bench: Bench) -> None:
    bench.controller.choose_layout("one layer")
    bench.click_disk(0)
    bench.run()
    bench.next_object()
    bench.click(0, PATH[0][0], PATH[0][1] + 4)
    before = [bench.mask(frame, object_id=1) for frame in range(10)]

    bench.run()

    for frame in range(10):
        np.testing.assert_array_equal(bench.mask(frame, object_id=1), before[frame])
    assert bench.mask(0, object_id=2).any()


def test_objects_take_pixels_of_others_where_the_user_says_so(bench: Bench) -> None:
    bench.controller.choose_layout("one layer")
    bench.controller.choose_overwriting(True)
    bench.click(0, 30, 30)
    bench.next_object()

    bench.click(0, 30, 30)

    assert not bench.mask(0, object_id=1).any()
    assert bench.mask(0, object_id=2).any()


def test_no_room_on_disk_ends_the_run_with_one_sentence(held: Bench, disk: Disk) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(3)

    disk.is_full = True
    held.jobs.streams[0].finish()

    assert len(held.messages) == 1
    assert "No room left on disk" in held.messages[0]
    assert held.frames_with() == [0, 1, 2]
    assert not held.controller.is_running


def test_image_removed_during_a_run_ends_it_with_one_sentence(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    labels = held.labels[0]
    held.run()
    held.jobs.streams[0].advance(3)

    held.viewer.layers.remove(held.image)
    held.jobs.streams[0].finish()

    assert len(held.messages) == 1
    assert "was removed" in held.messages[0]
    assert labels in held.viewer.layers
    assert labels.data[:].any(axis=(1, 2)).sum() == 3


def test_image_replaced_during_a_run_ends_it_with_one_sentence(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.jobs.streams[0].advance(3)

    held.image.data = MOVIE[::-1]
    held.jobs.streams[0].finish()

    assert len(held.messages) == 1
    assert "was replaced" in held.messages[0]
    assert held.frames_with() == [0, 1, 2]


def test_frame_that_cannot_be_read_ends_the_run_with_one_sentence(
    bench_of: Callable[..., Bench],
) -> None:
    lazy = da.stack([_frame(number) for number in range(10)])
    bench = bench_of(lazy, contrast_limits=(0, 220))
    bench.click_disk(0)

    bench.run()

    assert len(bench.messages) == 1
    assert "Frame 5 cannot be read" in bench.messages[0]
    assert bench.frames_with() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("direction", "frames"),
    [("both", range(2, 9)), ("forward", range(4, 9)), ("backward", range(2, 7))],
)
def test_reach_goes_from_the_frames_where_an_object_is_known(direction: str, frames: range) -> None:
    reach = Reach(direction, 2, 8, frozenset({1}))

    assert reach.frames([4, 6]) == frames


def _frame(number: int) -> da.Array:
    def load() -> np.ndarray:
        if number == 5:
            raise OSError("the file is gone")
        return MOVIE[number]

    return da.from_delayed(dask.delayed(load)(), (64, 64), np.uint8)
