"""Losses of the training."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..engine.backends.embedded.network import MultimaskOutput

GONE_WEIGHT = 3.0
"""Weight of objects that are gone, which are rare, in the loss of the presence."""


class PromptLoss(NamedTuple):
    """Loss of a batch of prompts, with what the next round and the log need."""

    total: Tensor
    """Scalar."""
    ious: Tensor
    """(N, 3) intersection over union of each mask hypothesis."""
    best: Tensor
    """(N,) the mask hypothesis with the smallest loss."""
    first: Tensor
    """(N,) the mask hypothesis with the highest score."""


def prompt_loss(output: MultimaskOutput, targets: Tensor, boxes: Tensor) -> PromptLoss:
    """Return the loss of the masks predicted for a batch of prompts.

    Parameters
    ----------
    targets : (N, 112, 112) bool.
    boxes : (N, 56, 56) the boxes as prompt planes; zeros for prompts without a box.
    """
    logits, scores = output.logits.float(), output.scores.float()
    present = targets.flatten(1).any(1)
    losses, ious = _mask_losses(logits, targets)
    ranked = torch.softmax(scores.detach() / 0.08, dim=1)
    best_of_three = losses.min(1).values + 0.03 * losses.mean(1) + 0.15 * (ranked * losses).sum(1)
    masks = torch.where(present, best_of_three, 0.3 * losses.mean(1)).mean()
    ranking = _mean_where(_score_losses(scores, ious), present)
    spill = _outside_box(logits, boxes).mean()
    rare = torch.where(present, 1.0, GONE_WEIGHT)
    presence = F.binary_cross_entropy_with_logits(output.presence.float(), present.float(), rare)
    total = masks + ranking + 0.2 * spill + 0.4 * presence
    return PromptLoss(total, ious, losses.argmin(1), scores.argmax(1))


def dense_loss(dense: Tensor, labels: Tensor, depth: Tensor) -> Tensor:
    """Return the loss of foreground, centre distance and boundary of whole views.

    Parameters
    ----------
    dense : (B, 3, H/2, W/2) logits.
    labels : (B, H, W)
    depth : (B, H, W) 0..1
    """
    numbers = labels[:, None].float()
    foreground = F.avg_pool2d((numbers > 0).float(), 2)
    centre = F.avg_pool2d(depth[:, None], 2)
    highest, lowest = F.max_pool2d(numbers, 3, 1, 1), -F.max_pool2d(-numbers, 3, 1, 1)
    boundary = F.max_pool2d((highest != lowest).float(), 2)
    truth = torch.cat([foreground, centre, boundary], dim=1)
    entropy = F.binary_cross_entropy_with_logits(dense.float(), truth, reduction="none")
    by_plane = entropy.mean((0, 2, 3))
    return by_plane[0] + 1.5 * by_plane[1] + by_plane[2]


def _mask_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Dice plus cross entropy, (N, 3), and intersection over union, (N, 3), of each hypothesis."""
    large = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
    target = targets[:, None].to(large.dtype)
    area = target.sum((2, 3))
    entropy = F.binary_cross_entropy_with_logits(large, target.expand_as(large), reduction="none")
    inside = torch.sigmoid(large)
    dice = 1 - (2 * (inside * target).sum((2, 3)) + 5) / (inside.sum((2, 3)) + area + 5)
    mask, truth = large > 0, targets[:, None]
    union = (mask | truth).sum((2, 3)).clamp_min(1)
    ious = (mask & truth).sum((2, 3)) / union
    return dice + entropy.sum((2, 3)) / (2 * area + 150), ious


def _score_losses(scores: Tensor, ious: Tensor) -> Tensor:
    """Error of the predicted scores, and the IoU lost by their order, (N,)."""
    error = ((scores - ious) ** 2).mean(1)
    shortfall = ious.max(1, keepdim=True).values - ious
    regret = (torch.softmax(scores / 0.08, dim=1) * shortfall).sum(1)
    return 0.5 * error + 0.3 * regret


def _outside_box(logits: Tensor, boxes: Tensor) -> Tensor:
    """Share of each prompt's mask that leaves its box, (N,)."""
    boxes = boxes[:, None]
    boxed = boxes.amax((2, 3)) > 0.5
    outside = (torch.sigmoid(logits) * (boxes < 0.05)).sum((2, 3)).mean(1, keepdim=True)
    return (outside / ((boxes > 0.5).sum((2, 3)) + 12) * boxed)[:, 0]


def _mean_where(values: Tensor, selected: Tensor) -> Tensor:
    return (values * selected).sum() / selected.sum().clamp_min(1)
