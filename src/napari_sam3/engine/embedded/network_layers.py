"""Layers that the embedded network is built of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def resized(source: Tensor, like: Tensor) -> Tensor:
    """Resize maps to the height and width of others."""
    return F.interpolate(source, like.shape[-2:], mode="bilinear", align_corners=False)


def conv_batch(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolve and normalise over the batch."""
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def conv_batch_act(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolve, normalise over the batch, activate."""
    return conv_batch(inputs, outputs, size, stride).append(nn.SiLU(inplace=True))


def conv_group_act(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Convolve, normalise over groups of channels, activate."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(8, outputs), nn.SiLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions around which the input is carried."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_batch_act(channels, channels)
        self.second = conv_batch(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the convolutions found to `x`."""
        return F.silu(x + self.second(self.first(x)))


def stage(inputs: int, outputs: int, residuals: int, size: int = 3) -> nn.Sequential:
    """Halve the resolution, then look again with every residual."""
    first = conv_batch_act(inputs, outputs, size, 2)
    return nn.Sequential(first, *(Residual(outputs) for _ in range(residuals)))
