from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.micro_batches import MicroBatches
from napari_sam3.engine.backends.sam.mask_decoding import DecoderOutput, DecoderQuery, View
from napari_sam3.engine.backends.sam.point_grid import distinct, find_all, stability
from napari_sam3.engine.backends.sam.preprocessing import Scaling

SIDE, MASK_SIDE = 256, 64
SHAPE = (128, 256)


def square(top: int, left: int, size: int, sharp: float = 8.0) -> torch.Tensor:
    """Return logits (h, w) of a square in the decoder's mask."""
    logits = torch.full((MASK_SIDE, MASK_SIDE), -sharp)
    logits[top : top + size, left : left + size] = sharp
    return logits


class Scene:
    """Answers a click inside of an object with its mask, and others with nothing."""

    def __init__(self, objects: Sequence[tuple[torch.Tensor, float]]) -> None:
        self.objects = objects
        self.micro_batches: list[int] = []

    def view(self, scaling: Scaling) -> View:
        return View(self.ask, scaling, MASK_SIDE, MicroBatches())

    def ask(self, questions: Sequence[DecoderQuery]) -> list[DecoderOutput]:
        self.micro_batches.append(len(questions))
        return [self.guess(*(one.points[0] * MASK_SIDE / SIDE).astype(int)) for one in questions]

    def guess(self, col: int, row: int) -> DecoderOutput:
        hit = [(mask, score) for mask, score in self.objects if mask[row, col] > 0]
        masks, scores = zip(*(hit or [(square(0, 0, 0), 0.9)]), strict=True)
        return DecoderOutput(torch.stack(masks), torch.tensor(scores))


def found_in(*objects: tuple[torch.Tensor, float], scaling: Scaling | None = None):
    return find_all(Scene(objects).view(scaling or Scaling.resized(SHAPE, SIDE)))


def test_every_object_is_found_once_at_its_place_best_first():
    found = found_in((square(4, 8, 16), 0.7), (square(40, 32, 20), 0.9))

    np.testing.assert_array_equal(found.boxes, [[80, 128, 120, 208], [8, 32, 40, 96]])
    np.testing.assert_allclose(found.scores, [0.9, 0.7], rtol=1e-6)
    assert found.shape == SHAPE
    assert [mask.shape for mask in found.masks] == [(40, 80), (32, 64)]
    assert all(mask.mean() > 0.98 for mask in found.masks)


def test_clicks_are_answered_many_at_once():
    scene = Scene([])

    find_all(scene.view(Scaling.resized(SHAPE, SIDE)))

    assert scene.micro_batches == [32, 32]


def test_an_image_without_objects_has_no_candidates():
    found = found_in()

    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_what_the_decoder_trusts_little_is_left_out():
    assert len(found_in((square(4, 8, 16), 0.4))) == 0


def test_what_depends_on_where_the_logits_are_cut_is_left_out():
    vague = square(4, 8, 16)
    vague[4:20, 8:24] = 0.5

    assert len(found_in((vague, 0.9))) == 0


def test_the_background_is_no_object():
    assert len(found_in((square(0, 0, 60), 0.9))) == 0


def test_a_part_is_found_beside_its_whole():
    found = found_in((square(8, 8, 24), 0.9), (square(12, 12, 12), 0.8))

    assert len(found) == 2


def test_of_two_nearly_equal_masks_the_better_one_is_kept():
    found = found_in((square(8, 8, 24), 0.8), (square(9, 8, 24), 0.9))

    np.testing.assert_allclose(found.scores, [0.9], rtol=1e-6)


def test_only_the_part_of_the_square_that_the_image_fills_counts():
    scaling = Scaling.fitted(SHAPE, SIDE)

    found = found_in((square(4, 8, 16), 0.7), (square(40, 8, 16), 0.9), scaling=scaling)

    np.testing.assert_array_equal(found.boxes, [[16, 32, 80, 96]])


def test_stability_is_the_share_that_stays():
    logits = torch.full((2, 4, 4), -5.0)
    logits[:, :2] = 5
    logits[1, 2] = 0

    np.testing.assert_allclose(stability(logits), [1, 8 / 12])


def test_nothing_is_distinct_among_nothing():
    assert distinct([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 400)])
def test_the_smallest_images_are_searched(shape):
    found = found_in((square(4, 8, 16), 0.9), scaling=Scaling.resized(shape, SIDE))

    assert found.shape == shape
