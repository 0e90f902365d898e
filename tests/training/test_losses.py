from __future__ import annotations

import pytest
import torch

from napari_sam3.engine.backends.embedded.network import MultimaskOutput
from napari_sam3.training.losses import dense_loss, prompt_loss


@pytest.fixture
def targets() -> torch.Tensor:
    """One object in the upper left quarter of the crop."""
    targets = torch.zeros(1, 112, 112, dtype=torch.bool)
    targets[:, :56, :56] = True
    return targets


def decoded_squares(
    *shares: float, scores: tuple[float, float, float] = (0.9, 0.5, 0.1)
) -> MultimaskOutput:
    """Three mask hypotheses, each a square with a share of the side of the crop."""
    logits = torch.full((1, 3, 56, 56), -8.0)
    for hypothesis, share in zip(logits[0], shares, strict=True):
        side = round(56 * share)
        hypothesis[:side, :side] = 8
    return MultimaskOutput(logits, torch.tensor([scores]), torch.tensor([4.0]))


NO_BOX = torch.zeros(1, 56, 56)


def test_one_good_mask_hypothesis_is_enough(targets):
    good = prompt_loss(decoded_squares(0.5, 0.9, 0.1), targets, NO_BOX)
    bad = prompt_loss(decoded_squares(0.8, 0.9, 0.1), targets, NO_BOX)

    assert good.total < bad.total
    assert good.best == 0
    assert good.ious[0, 0] > 0.95


def test_the_wrong_order_of_mask_hypotheses_costs(targets):
    right = prompt_loss(decoded_squares(0.5, 0.9, 0.1, scores=(0.9, 0.3, 0.1)), targets, NO_BOX)
    wrong = prompt_loss(decoded_squares(0.5, 0.9, 0.1, scores=(0.1, 0.3, 0.9)), targets, NO_BOX)

    assert right.total < wrong.total
    assert wrong.first == 2


def test_leaving_the_box_costs(targets):
    box = torch.zeros(1, 56, 56)
    box[:, :28, :28] = 1
    output = decoded_squares(0.9, 0.9, 0.9)

    assert prompt_loss(output, targets, box).total > prompt_loss(output, targets, NO_BOX).total


def test_calling_an_absent_object_present_costs():
    nothing = torch.zeros(1, 112, 112, dtype=torch.bool)
    present = decoded_squares(0, 0, 0)
    absent = present._replace(presence=-present.presence)

    losses = [prompt_loss(output, nothing, NO_BOX).total for output in (absent, present)]

    assert losses[0] < losses[1]


def test_dense_planes_are_best_when_they_show_the_labels():
    labels = torch.zeros(1, 32, 32, dtype=torch.int32)
    labels[:, 8:24, 8:24] = 1
    depth = (labels > 0).float()
    shown = torch.stack([(labels[0, ::2, ::2] > 0).float() * 16 - 8] * 3)[None]

    assert dense_loss(shown, labels, depth) < dense_loss(-shown, labels, depth)
