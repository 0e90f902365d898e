from __future__ import annotations

import torch

from napari_sam3.engine.sam.memory import Memory, Span, Track

SPAN = Span(frames=6, pointers=15)


def memory(value: float) -> Memory:
    return Memory(torch.full((4, 2), float(value)), torch.full((3,), float(value)))


def visited(steps: int) -> Track:
    """Return a track of the memories 0, 1, 2 and so on."""
    track = Track(memory(0), SPAN)
    for step in range(1, steps + 1):
        track = track.continued(memory(step))
    return track


def test_a_track_begins_with_what_was_given_alone():
    track = visited(0)

    assert (track.steps, track.frames, track.pointers) == (0, (), ())


def test_the_last_frames_are_remembered_newest_first_and_the_first_one_always():
    track = visited(20)

    assert track.steps == 20
    assert [float(frame[0, 0]) for frame in track.frames] == [20, 19, 18, 17, 16, 15]
    assert [float(pointer[0]) for pointer in track.pointers] == list(range(20, 5, -1))
    assert float(track.first.pointer[0]) == 0


def test_going_on_leaves_the_earlier_track_as_it_was():
    track = visited(3)

    track.continued(memory(4))

    assert track.steps == 3
    assert len(track.frames) == 3


def test_tracks_of_equal_length_are_of_one_kind():
    assert visited(20).kind == visited(300).kind
    assert visited(2).kind != visited(3).kind


def test_a_track_counts_all_that_it_holds():
    assert visited(0).nbytes == 4 * (8 + 3)
    assert visited(300).nbytes == 4 * (7 * 8 + 16 * 3)
