from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.micro_batches import MicroBatches
from napari_sam3.engine.backends.sam.mask_decoding import DecoderOutput, DecoderQuery, ImageDecoder
from napari_sam3.engine.backends.sam.point_grid import (
    generate_masks,
    stability_scores,
    suppress_duplicates,
)
from napari_sam3.engine.backends.sam.preprocessing import Resizing

SIDE, MASK_SIDE = 256, 64
SHAPE = (128, 256)


def square(top: int, left: int, size: int, sharp: float = 8.0) -> torch.Tensor:
    """Return logits (h, w) of a square in the decoder's mask."""
    logits = torch.full((MASK_SIDE, MASK_SIDE), -sharp)
    logits[top : top + size, left : left + size] = sharp
    return logits


class Scene:
    """Decodes a point inside of an object as its mask, and any outside as nothing."""

    def __init__(self, objects: Sequence[tuple[torch.Tensor, float]]) -> None:
        self.objects = objects
        self.batches: list[int] = []

    def on_image(self, resizing: Resizing) -> ImageDecoder:
        return ImageDecoder(self.decode_batch, resizing, MASK_SIDE, MicroBatches())

    def decode_batch(self, queries: Sequence[DecoderQuery]) -> list[DecoderOutput]:
        self.batches.append(len(queries))
        points = [(query.points[0] * MASK_SIDE / SIDE).astype(int) for query in queries]
        return [self.output(*point) for point in points]

    def output(self, col: int, row: int) -> DecoderOutput:
        at_point = [(mask, score) for mask, score in self.objects if mask[row, col] > 0]
        masks, scores = zip(*(at_point or [(square(0, 0, 0), 0.9)]), strict=True)
        return DecoderOutput(torch.stack(masks), torch.tensor(scores))


def candidates_of(*objects: tuple[torch.Tensor, float], resizing: Resizing | None = None):
    return generate_masks(Scene(objects).on_image(resizing or Resizing.to_square(SHAPE, SIDE)))


def test_every_object_is_detected_once_where_it_is_best_first():
    candidates = candidates_of((square(4, 8, 16), 0.7), (square(40, 32, 20), 0.9))

    np.testing.assert_array_equal(candidates.boxes, [[80, 128, 120, 208], [8, 32, 40, 96]])
    np.testing.assert_allclose(candidates.scores, [0.9, 0.7], rtol=1e-6)
    assert candidates.shape == SHAPE
    assert [mask.shape for mask in candidates.masks] == [(40, 80), (32, 64)]
    assert all(mask.mean() > 0.98 for mask in candidates.masks)


def test_points_are_decoded_in_large_batches():
    scene = Scene([])

    generate_masks(scene.on_image(Resizing.to_square(SHAPE, SIDE)))

    assert scene.batches == [32, 32]


def test_an_image_without_objects_has_no_candidates():
    candidates = candidates_of()

    assert len(candidates) == 0
    assert candidates.boxes.shape == (0, 4)


def test_masks_of_a_low_predicted_iou_are_left_out():
    assert len(candidates_of((square(4, 8, 16), 0.4))) == 0


def test_unstable_masks_are_left_out():
    vague = square(4, 8, 16)
    vague[4:20, 8:24] = 0.5

    assert len(candidates_of((vague, 0.9))) == 0


def test_the_background_is_no_object():
    assert len(candidates_of((square(0, 0, 60), 0.9))) == 0


def test_a_part_is_detected_beside_its_whole():
    candidates = candidates_of((square(8, 8, 24), 0.9), (square(12, 12, 12), 0.8))

    assert len(candidates) == 2


def test_of_two_nearly_equal_masks_the_better_one_is_kept():
    candidates = candidates_of((square(8, 8, 24), 0.8), (square(9, 8, 24), 0.9))

    np.testing.assert_allclose(candidates.scores, [0.9], rtol=1e-6)


def test_padding_does_not_count():
    resizing = Resizing.longest_side(SHAPE, SIDE)

    candidates = candidates_of((square(4, 8, 16), 0.7), (square(40, 8, 16), 0.9), resizing=resizing)

    np.testing.assert_array_equal(candidates.boxes, [[16, 32, 80, 96]])


def test_stability_is_the_share_that_both_thresholds_keep():
    logits = torch.full((2, 4, 4), -5.0)
    logits[:, :2] = 5
    logits[1, 2] = 0

    np.testing.assert_allclose(stability_scores(logits), [1, 8 / 12])


def test_nothing_is_suppressed_among_nothing():
    assert suppress_duplicates([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 400)])
def test_the_smallest_images_are_searched(shape):
    candidates = candidates_of((square(4, 8, 16), 0.9), resizing=Resizing.to_square(shape, SIDE))

    assert candidates.shape == shape
