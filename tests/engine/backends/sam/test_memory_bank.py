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
from napari_sam3.engine.backends.sam.memory_bank import (
    Capacity,
    FrameMemory,
    MemoryBank,
    PropagatedMask,
    Tracker,
)
from napari_sam3.engine.backends.sam.preprocessing import FeaturePyramid
from napari_sam3.engine.backends.sam.sam2 import EdgeTracker
from tests.tiny_models import load_tiny, visits

CAPACITY = Capacity(frames=6, pointers=15)


def memory(value: float) -> FrameMemory:
    return FrameMemory(torch.full((4, 2), float(value)), torch.full((3,), float(value)))


def bank_after(steps: int) -> MemoryBank:
    """Return the memory bank of the frames 0, 1, 2 and so on."""
    bank = MemoryBank(memory(0), CAPACITY)
    for step in range(1, steps + 1):
        bank = bank.extended(memory(step))
    return bank


def test_a_memory_bank_begins_with_the_prompted_frame():
    bank = bank_after(0)

    assert (bank.steps, bank.features, bank.pointers) == (0, (), ())


def test_the_last_frames_are_kept_newest_first_and_the_first_frame_always():
    bank = bank_after(20)

    assert bank.steps == 20
    assert [float(frame[0, 0]) for frame in bank.features] == [20, 19, 18, 17, 16, 15]
    assert [float(pointer[0]) for pointer in bank.pointers] == list(range(20, 5, -1))
    assert float(bank.first.pointer[0]) == 0


def test_extending_leaves_the_earlier_bank_as_it_was():
    bank = bank_after(3)

    bank.extended(memory(4))

    assert bank.steps == 3
    assert len(bank.features) == 3


def test_banks_of_equal_length_have_the_same_batch_key():
    assert bank_after(20).batch_key == bank_after(300).batch_key
    assert bank_after(2).batch_key != bank_after(3).batch_key


def test_a_memory_bank_counts_all_that_it_holds():
    assert bank_after(0).nbytes == 4 * (8 + 3)
    assert bank_after(300).nbytes == 4 * (7 * 8 + 16 * 3)


SHAPE = (90, 140)
FRAMES = 17  # as many pointers as the stock models read, and one more
ROUNDING = 1e-3  # memories are kept in bfloat16, whose last bit may fall either way


@dataclass
class Movie:
    """A stock model, its features of each frame, and our tracker around the same weights."""

    stock: Any
    session: Any  # of the stock model, without prompts
    processor: Any
    tracker: Tracker
    pyramids: list[FeaturePyramid]


def movie(stock: Any, processor: Any, tracker_class: type[Tracker]) -> Movie:
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, *SHAPE, 3), np.uint8)
    session = processor.init_video_session(video=list(frames), inference_device="cpu")
    pyramids = [pyramid_of(stock, session.get_frame(index)) for index in range(FRAMES)]
    decoder = PromptDecoder(stock, stock.image_size, torch.float32, "cpu")
    return Movie(stock, session, processor, tracker_class(stock, decoder), pyramids)


def pyramid_of(stock: Any, pixels: torch.Tensor) -> FeaturePyramid:
    features = stock.get_image_features(pixels[None])
    levels = [
        level.permute(1, 2, 0).reshape(1, -1, *size)
        for level, size in zip(
            [*features.fpn_hidden_states, features.fpn_position_encoding[-1]],
            [*stock.backbone_feature_sizes, stock.backbone_feature_sizes[-1]],
            strict=True,
        )
    ]
    return FeaturePyramid(*levels, SHAPE)


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
    model, processor, tracker_class = MODELS[folder]
    path = request.getfixturevalue(folder)
    return movie(load_tiny(model, path).eval(), load_tiny(processor, path), tracker_class)


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask


MASKS = [box(20, 30, 60, 80), box(10, 60, 30, 130)]


def start(
    tracker: Tracker, pyramid: FeaturePyramid, masks: Sequence[np.ndarray] = MASKS
) -> list[MemoryBank]:
    return [tracker.update_memory(None, pyramid, Prediction.given(mask)) for mask in masks]


def propagate(
    tracker: Tracker, images: Sequence[FeaturePyramid], banks: Sequence[MemoryBank]
) -> torch.Tensor:
    """Propagate objects over images; return their logits, (F, N, h, w)."""
    logits = []
    for pyramid in images:
        predictions = tracker.propagate(pyramid, banks)
        logits.append(torch.stack([prediction.memory.logits for prediction in predictions]))
        banks = [
            tracker.update_memory(bank, pyramid, prediction)
            for bank, prediction in zip(banks, predictions, strict=True)
        ]
    return torch.stack(logits)


def stock_logits(movie: Movie, frame: int, path: Sequence[int]) -> torch.Tensor:
    """Propagate `MASKS` from a frame along a path with the stock model, (F, N, h, w)."""
    movie.session.reset_inference_session()
    for object_id, mask in enumerate(MASKS):
        movie.processor.add_inputs_to_inference_session(
            movie.session, frame, object_id, input_masks=[mask]
        )
        movie.stock(movie.session, frame_idx=frame)
    backward = path[0] < frame
    outputs = [movie.stock(movie.session, frame_idx=i, reverse=backward) for i in path]
    return torch.stack([output.pred_masks[:, 0] for output in outputs])


def test_objects_are_propagated_forward_as_by_the_stock_model(any_movie):
    path = range(1, FRAMES)

    logits = propagate(
        any_movie.tracker,
        [any_movie.pyramids[i] for i in path],
        start(any_movie.tracker, any_movie.pyramids[0]),
    )

    expected = stock_logits(any_movie, 0, path)
    torch.testing.assert_close(logits, expected, atol=ROUNDING, rtol=0)


def test_objects_are_propagated_backward_as_by_the_stock_model(any_movie):
    path = range(FRAMES - 2, 5, -1)

    logits = propagate(
        any_movie.tracker,
        [any_movie.pyramids[i] for i in path],
        start(any_movie.tracker, any_movie.pyramids[-1]),
    )

    expected = stock_logits(any_movie, FRAMES - 1, path)
    torch.testing.assert_close(logits, expected, atol=ROUNDING, rtol=0)


def test_objects_are_propagated_together_as_alone(any_movie):
    banks = start(any_movie.tracker, any_movie.pyramids[0])

    together = propagate(any_movie.tracker, any_movie.pyramids[1:5], banks)

    alone = [propagate(any_movie.tracker, any_movie.pyramids[1:5], [bank]) for bank in banks]
    torch.testing.assert_close(together, torch.cat(alone, dim=1), atol=ROUNDING, rtol=0)


def test_sixteen_objects_are_one_batch_of_memory_attention(any_movie):
    banks = start(any_movie.tracker, any_movie.pyramids[0], [MASKS[0]] * 16)

    with visits(any_movie.stock.memory_attention) as attended:
        predictions = any_movie.tracker.propagate(any_movie.pyramids[1], banks)

    assert len(predictions) == 16
    assert len(attended) == 1


def test_a_memory_bank_does_not_grow(sam2):
    tracker, pyramid = sam2.tracker, sam2.pyramids[1]
    bank = start(tracker, sam2.pyramids[0])[0]
    prediction = tracker.propagate(pyramid, [bank])[0]

    sizes = []
    for _ in range(300):
        bank = tracker.update_memory(bank, pyramid, prediction)
        sizes.append(bank.nbytes)

    assert set(sizes[20:]) == {sizes[20]}
    assert sizes[20] < 7 * bank.first.nbytes + 16 * bank.first.pointer.nbytes


def test_banks_of_different_ages_are_one_batch_once_they_are_full(sam2):
    tracker, pyramid = sam2.tracker, sam2.pyramids[1]
    old, older = start(tracker, sam2.pyramids[0])
    predictions = tracker.propagate(pyramid, [old, older])
    for _ in range(15):
        old = tracker.update_memory(old, pyramid, predictions[0])
    for _ in range(25):
        older = tracker.update_memory(older, pyramid, predictions[1])

    with visits(sam2.stock.memory_attention) as attended:
        together = tracker.propagate(pyramid, [old, older])

    alone = [tracker.propagate(pyramid, [bank])[0] for bank in (old, older)]
    assert len(attended) == 1
    for batched, single in zip(together, alone, strict=True):
        logits = batched.memory.logits
        torch.testing.assert_close(logits, single.memory.logits, atol=ROUNDING, rtol=0)


def test_an_absent_object_has_an_empty_mask(sam2):
    banks = start(sam2.tracker, sam2.pyramids[0])

    with no_object(sam2.stock):
        predictions = sam2.tracker.propagate(sam2.pyramids[1], banks)

    for prediction in predictions:
        assert not prediction.pixels.any()
        assert prediction.pixels.shape == SHAPE
        assert prediction.presence < 0.5
        assert prediction.hypotheses[0].score == 0


def test_where_the_decoder_predicts_no_object_the_given_mask_has_its_pointer(sam2):
    with no_object(sam2.stock):
        bank = start(sam2.tracker, sam2.pyramids[0])[0]

    torch.testing.assert_close(bank.first.pointer, sam2.stock.no_object_pointer[0])


def test_the_smallest_mask_is_encoded(sam2):
    dot = np.zeros((900, 1400), bool)
    dot[450, 700] = True

    resized = sam2.tracker._memory_encoder.resized_mask(dot)

    assert resized.sum() == 1


def test_a_mask_given_later_is_kept_beside_the_first(sam2):
    bank = start(sam2.tracker, sam2.pyramids[0])[0]

    extended = sam2.tracker.update_memory(bank, sam2.pyramids[1], Prediction.given(MASKS[1]))

    assert extended.first is bank.first
    assert len(extended.features) == 1


def test_a_read_only_mask_is_taken(sam2):
    mask = MASKS[0].copy()
    mask.setflags(write=False)

    assert isinstance(start(sam2.tracker, sam2.pyramids[0], [mask])[0], MemoryBank)


def test_a_prediction_keeps_its_logits_and_pointer(sam2):
    prediction = sam2.tracker.propagate(sam2.pyramids[1], start(sam2.tracker, sam2.pyramids[0]))[0]

    assert isinstance(prediction.memory, PropagatedMask)
    assert prediction.pixels.shape == SHAPE
    assert 0 <= prediction.hypotheses[0].score <= 1
    assert prediction.presence > 0.5


@contextmanager
def no_object(stock: Any) -> Iterator[None]:
    """Let the decoder predict no object meanwhile."""
    head = stock.mask_decoder.pred_obj_score_head
    hook = head.register_forward_hook(lambda _, __, scores: torch.full_like(scores, -5))
    yield
    hook.remove()
