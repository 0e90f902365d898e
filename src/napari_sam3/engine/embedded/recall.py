"""Finding what was on an earlier frame again, by likeness and nearness."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import without_triton  # noqa: F401  before torch imports it
from .features import COARSE_STRIDE, CROP, Memory

AROUND = 9
"""Width of the surroundings of an object, and of the object in their midst, in coarse cells."""


class Recall(nn.Module):
    """Finds the object of the previous frame again, by likeness and nearness."""

    distances: Tensor

    def __init__(self, channels: int, keys: int = 32) -> None:
        super().__init__()
        self.key = nn.Conv2d(channels, keys, 1, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(12.0))
        self.reach = nn.Parameter(torch.tensor(6.0))
        now = torch.arange(CROP // COARSE_STRIDE).float()
        before = now.unflatten(0, (-1, 2)).mean(1)
        apart = torch.cdist(torch.cartesian_prod(now, now), torch.cartesian_prod(before, before))
        self.register_buffer("distances", apart**2, persistent=False)

    def forward(self, coarse: Tensor, memory: Memory) -> Tensor:
        """Map, per cell, what the best matching old cells were and how alike the object is.

        Returns
        -------
        (N, 2, 28, 28): the mask carried over, and likeness to the object's mean; 0 without memory.
        """
        found = coarse.new_zeros(len(coarse), 2, *coarse.shape[-2:])
        known = memory.mask.flatten(1).any(1)
        if known.any():
            remembered = Memory(memory.coarse[known], memory.mask[known])
            found[known] = self._search(coarse[known], remembered).to(found.dtype)
        return found

    def means(self, coarse: Tensor, masks: Tensor) -> Tensor:
        """Mean key (N, K, 32), of length 1, of what each of masks (N, K, 28, 28) covers."""
        keys = F.normalize(self.key(coarse).flatten(2), dim=1)
        return F.normalize(masks.flatten(2) @ keys.transpose(1, 2), dim=2, eps=1e-4)

    def compared(self, coarse: Tensor, memory: Memory) -> Tensor:
        """Map the mask carried over, and likeness to the object's mean and to that around it.

        Returns
        -------
        (N, 3, 28, 28)
        """
        carried = self._search(coarse, memory)
        around = F.max_pool2d(memory.mask, AROUND, 1, AROUND // 2) * (1 - memory.mask)
        mean = self.means(memory.coarse, around)
        now = F.normalize(self.key(coarse).flatten(2), dim=1)
        likeness = (mean @ now).unflatten(2, coarse.shape[-2:])
        return torch.cat([carried, likeness.to(carried.dtype)], dim=1)

    def _search(self, coarse: Tensor, memory: Memory) -> Tensor:
        now = F.normalize(self.key(coarse).flatten(2), dim=1)
        before = F.normalize(self.key(F.avg_pool2d(memory.coarse, 2)).flatten(2), dim=1)
        mask = F.avg_pool2d(memory.mask, 2).flatten(2)
        nearness = self.distances / (2 * self.reach**2 + 1e-3)
        match = self.sharpness * (now.transpose(1, 2) @ before) - nearness
        carried = mask @ torch.softmax(match, dim=2).transpose(1, 2)
        mean = F.normalize((before * mask).sum(2, keepdim=True), dim=1)
        likeness = (now * mean).sum(1, keepdim=True)
        return torch.cat([carried, likeness], dim=1).unflatten(2, coarse.shape[-2:])
