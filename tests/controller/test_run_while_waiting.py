"""A run that begins before the model has answered the last prompts."""

from __future__ import annotations

import numpy as np

from tests.backends import disk_frames, ellipse
from tests.controller.bench import PATH, Bench
from tests.jobs import HeldJobs

BELOW = [(54, col) for _, col in PATH]
"""Where a second disk is, frame by frame."""


def two_disks() -> Bench:
    """A time-lapse of two disks, of which the upper one is outlined; answers wait."""
    held = Bench(HeldJobs())
    held.add_image(np.maximum(disk_frames(PATH), disk_frames(BELOW)))
    held.click_disk(0)
    held.jobs.run_all()
    return held


def assert_follows(held: Bench, path: list[tuple[int, int]]) -> None:
    for frame, centre in enumerate(path):
        np.testing.assert_array_equal(held.mask(frame), ellipse((64, 64), centre, (6, 6)))


def test_point_that_was_dragged_is_followed_where_it_is_now() -> None:
    held = two_disks()
    held.workspace.prompts.points.data = np.array([[0, *BELOW[0]]], float)

    held.run()
    held.jobs.run_all()
    held.jobs.streams[-1].finish()

    assert_follows(held, BELOW)


def test_painted_frame_is_followed_as_it_was_painted() -> None:
    held = two_disks()
    held.workspace.prompts.points.data = np.array([[0, *BELOW[0]]], float)
    held.paint((0,), *PATH[0])
    held.workspace.results.layer_of(1).paint((0, PATH[0][0] - 6, PATH[0][1]), 1)

    held.run()
    held.jobs.streams[-1].finish()

    assert held.mask(9)[PATH[9]]


def test_answered_prompts_are_followed_as_they_are_shown() -> None:
    held = two_disks()

    held.run()
    held.jobs.streams[-1].finish()

    assert_follows(held, PATH)
