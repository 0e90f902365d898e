from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.backends.sam.mask_decoding import PromptDecoder
from napari_sam3.engine.backends.sam.memory_bank import Memory, Sighting, Span, Track, Tracker
from napari_sam3.engine.backends.sam.preprocessing import Maps
from napari_sam3.engine.backends.sam.sam2 import EdgeTracker
from tests.tiny_models import load_tiny, visits

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


SHAPE = (90, 140)
FRAMES = 17  # as many pointers as the stock models read, and one more
ROUNDING = 1e-3  # memories are kept in bfloat16, whose last bit may fall either way


@dataclass
class Movie:
    """A stock model, what it sees of each frame, and our tracker around the same weights."""

    stock: Any
    session: Any  # of the stock model, without prompts
    processor: Any
    tracker: Tracker
    maps: list[Maps]


def movie(stock: Any, processor: Any, kind: type[Tracker]) -> Movie:
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, *SHAPE, 3), np.uint8)
    session = processor.init_video_session(video=list(frames), inference_device="cpu")
    maps = [seen(stock, session.get_frame(index)) for index in range(FRAMES)]
    decoder = PromptDecoder(stock, stock.image_size, torch.float32, "cpu")
    return Movie(stock, session, processor, kind(stock, decoder), maps)


def seen(stock: Any, pixels: torch.Tensor) -> Maps:
    features = stock.get_image_features(pixels[None])
    levels = [
        level.permute(1, 2, 0).reshape(1, -1, *size)
        for level, size in zip(
            [*features.fpn_hidden_states, features.fpn_position_encoding[-1]],
            [*stock.backbone_feature_sizes, stock.backbone_feature_sizes[-1]],
            strict=True,
        )
    ]
    return Maps(*levels, SHAPE)


MODELS = {
    "tiny_sam2": ("Sam2VideoModel", "Sam2VideoProcessor", Tracker),
    "tiny_sam3": ("Sam3TrackerVideoModel", "Sam3TrackerVideoProcessor", Tracker),
    "tiny_edgetam": ("EdgeTamVideoModel", "Sam2VideoProcessor", EdgeTracker),
}


@pytest.fixture(scope="module", params=MODELS)
def any_movie(request) -> Movie:
    return made(request, request.param)


@pytest.fixture(scope="module")
def sam2(request) -> Movie:
    return made(request, "tiny_sam2")


@torch.inference_mode()
def made(request, folder: str) -> Movie:
    model, processor, kind = MODELS[folder]
    place = request.getfixturevalue(folder)
    return movie(load_tiny(model, place).eval(), load_tiny(processor, place), kind)


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask


MASKS = [box(20, 30, 60, 80), box(10, 60, 30, 130)]


def start(tracker: Tracker, maps: Maps, masks: Sequence[np.ndarray] = MASKS) -> list[Track]:
    return [tracker.update_memory(None, maps, Prediction.given(mask)) for mask in masks]


def propagate(tracker: Tracker, images: Sequence[Maps], tracks: Sequence[Track]) -> torch.Tensor:
    """Follow objects over images; return their logits, (F, N, h, w)."""
    logits = []
    for maps in images:
        answers = tracker.propagate(maps, tracks)
        logits.append(torch.stack([answer.memory.logits for answer in answers]))
        tracks = [
            tracker.update_memory(track, maps, answer)
            for track, answer in zip(tracks, answers, strict=True)
        ]
    return torch.stack(logits)


def stock_logits(movie: Movie, frame: int, path: Sequence[int]) -> torch.Tensor:
    """Follow `MASKS` from a frame along a path with the stock model, (F, N, h, w)."""
    movie.session.reset_inference_session()
    for object_id, mask in enumerate(MASKS):
        movie.processor.add_inputs_to_inference_session(
            movie.session, frame, object_id, input_masks=[mask]
        )
        movie.stock(movie.session, frame_idx=frame)
    backward = path[0] < frame
    outputs = [movie.stock(movie.session, frame_idx=i, reverse=backward) for i in path]
    return torch.stack([output.pred_masks[:, 0] for output in outputs])


def test_objects_are_followed_forward_as_by_the_stock_model(any_movie):
    path = range(1, FRAMES)

    found = propagate(
        any_movie.tracker,
        [any_movie.maps[i] for i in path],
        start(any_movie.tracker, any_movie.maps[0]),
    )

    expected = stock_logits(any_movie, 0, path)
    torch.testing.assert_close(found, expected, atol=ROUNDING, rtol=0)


def test_objects_are_followed_backward_as_by_the_stock_model(any_movie):
    path = range(FRAMES - 2, 5, -1)

    found = propagate(
        any_movie.tracker,
        [any_movie.maps[i] for i in path],
        start(any_movie.tracker, any_movie.maps[-1]),
    )

    expected = stock_logits(any_movie, FRAMES - 1, path)
    torch.testing.assert_close(found, expected, atol=ROUNDING, rtol=0)


def test_objects_followed_together_are_found_as_alone(any_movie):
    tracks = start(any_movie.tracker, any_movie.maps[0])

    together = propagate(any_movie.tracker, any_movie.maps[1:5], tracks)

    alone = [propagate(any_movie.tracker, any_movie.maps[1:5], [track]) for track in tracks]
    torch.testing.assert_close(together, torch.cat(alone, dim=1), atol=ROUNDING, rtol=0)


def test_sixteen_objects_are_one_look_into_the_memory(any_movie):
    tracks = start(any_movie.tracker, any_movie.maps[0], [MASKS[0]] * 16)

    with visits(any_movie.stock.memory_attention) as seen:
        answers = any_movie.tracker.propagate(any_movie.maps[1], tracks)

    assert len(answers) == 16
    assert len(seen) == 1


def test_a_track_does_not_grow(sam2):
    tracker, maps = sam2.tracker, sam2.maps[1]
    track = start(tracker, sam2.maps[0])[0]
    answer = tracker.propagate(maps, [track])[0]

    sizes = []
    for _ in range(300):
        track = tracker.update_memory(track, maps, answer)
        sizes.append(track.nbytes)

    assert set(sizes[20:]) == {sizes[20]}
    assert sizes[20] < 7 * track.first.nbytes + 16 * track.first.pointer.nbytes


def test_tracks_of_different_ages_are_followed_together_once_they_are_long(sam2):
    tracker, maps = sam2.tracker, sam2.maps[1]
    old, older = start(tracker, sam2.maps[0])
    answers = tracker.propagate(maps, [old, older])
    for _ in range(15):
        old = tracker.update_memory(old, maps, answers[0])
    for _ in range(25):
        older = tracker.update_memory(older, maps, answers[1])

    with visits(sam2.stock.memory_attention) as seen:
        together = tracker.propagate(maps, [old, older])

    alone = [tracker.propagate(maps, [track])[0] for track in (old, older)]
    assert len(seen) == 1
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.memory.logits, other.memory.logits, atol=ROUNDING, rtol=0)


def test_an_object_that_is_not_seen_has_an_empty_mask(sam2):
    tracks = start(sam2.tracker, sam2.maps[0])

    with unseen(sam2.stock):
        answers = sam2.tracker.propagate(sam2.maps[1], tracks)

    for answer in answers:
        assert not answer.pixels.any()
        assert answer.pixels.shape == SHAPE
        assert answer.presence < 0.5
        assert answer.hypotheses[0].score == 0


def test_where_the_decoder_sees_no_object_the_given_mask_points_to_none(sam2):
    with unseen(sam2.stock):
        track = start(sam2.tracker, sam2.maps[0])[0]

    torch.testing.assert_close(track.first.pointer, sam2.stock.no_object_pointer[0])


def test_the_smallest_mask_is_remembered(sam2):
    dot = np.zeros((900, 1400), bool)
    dot[450, 700] = True

    given = sam2.tracker._writer.given(dot)

    assert given.sum() == 1


def test_a_mask_given_later_is_remembered_beside_the_first(sam2):
    track = start(sam2.tracker, sam2.maps[0])[0]

    longer = sam2.tracker.update_memory(track, sam2.maps[1], Prediction.given(MASKS[1]))

    assert longer.first is track.first
    assert len(longer.frames) == 1


def test_a_read_only_mask_is_taken(sam2):
    mask = MASKS[0].copy()
    mask.setflags(write=False)

    assert isinstance(start(sam2.tracker, sam2.maps[0], [mask])[0], Track)


def test_an_answer_remembers_what_was_seen(sam2):
    answer = sam2.tracker.propagate(sam2.maps[1], start(sam2.tracker, sam2.maps[0]))[0]

    assert isinstance(answer.memory, Sighting)
    assert answer.pixels.shape == SHAPE
    assert 0 <= answer.hypotheses[0].score <= 1
    assert answer.presence > 0.5


@contextmanager
def unseen(stock: Any) -> Iterator[None]:
    """Let the decoder see no object meanwhile."""
    head = stock.mask_decoder.pred_obj_score_head
    hook = head.register_forward_hook(lambda _, __, scores: torch.full_like(scores, -5))
    yield
    hook.remove()
