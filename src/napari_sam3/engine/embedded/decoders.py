"""Turning prompts on a crop into masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import without_triton  # noqa: F401  before torch imports it
from .features import (
    COARSE_CHANNELS,
    FINE_CHANNELS,
    PROMPT_MAPS,
    READINGS,
    Decoded,
    Memory,
)
from .network_layers import conv_group_act, resized
from .recall import Recall

COMPARED = 4 * READINGS
"""How each reading's look and size compare to the first frame and to the one before."""
LARGEST_CHANGE = 2.0
"""Size is compared by its logarithm, no farther than this."""


class Drawing(nn.Module):
    """Small U-shaped network that turns prompts on a crop into masks.

    Parameters
    ----------
    further : how many more numbers than it sees itself readings are judged by.
    """

    def __init__(self, further: int = 0) -> None:
        super().__init__()
        wide, deep, slim = 64, 96, 24
        self.prompt = conv_group_act(PROMPT_MAPS, 16)
        self.prompt4 = nn.Conv2d(16, wide, 3, 2, 1)
        self.image4 = nn.Conv2d(COARSE_CHANNELS, wide, 1)
        self.recall = Recall(COARSE_CHANNELS)
        self.memory4 = nn.Conv2d(2 * COARSE_CHANNELS + 3, wide, 3, 1, 1, bias=False)
        self.first4 = conv_group_act(wide, wide)
        self.second4 = conv_group_act(wide, wide)
        self.down8 = conv_group_act(wide, deep, 2)
        self.stage8 = conv_group_act(deep, deep)
        self.down16 = conv_group_act(deep, deep, 2)
        self.stage16 = conv_group_act(deep, deep)
        self.whole = nn.Linear(deep, deep)
        self.merge8 = conv_group_act(deep, deep)
        self.rise8 = nn.Conv2d(deep, wide, 1)
        self.merge4 = conv_group_act(wide, wide)
        self.rise4 = nn.Conv2d(wide, slim, 1)
        self.image2 = nn.Conv2d(FINE_CHANNELS, slim, 1)
        self.prompt2 = nn.Conv2d(16, slim, 1)
        self.first2 = conv_group_act(slim, slim)
        self.second2 = conv_group_act(slim, slim)
        self.masks = nn.Conv2d(slim, READINGS, 1)
        seen = deep + READINGS * wide + further
        self.scores = nn.Sequential(nn.Linear(seen, 96), nn.SiLU(), nn.Linear(96, READINGS))
        self.presence = nn.Sequential(nn.Linear(seen, 48), nn.SiLU(), nn.Linear(48, 1))

    def drawn(
        self, fine: Tensor, coarse: Tensor, maps: Tensor, remembered: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Draw three readings: their logits (N, 3, 56, 56), and (N, 288) what was seen of them."""
        prompt = self.prompt(maps)
        at4 = self.image4(coarse) + self.prompt4(prompt)
        if remembered is not None:
            at4 = at4 + remembered
        at4 = F.silu(at4)
        at4, overview = self._surveyed(at4 + self.second4(self.first4(at4)))
        at2 = resized(self.rise4(at4), fine) + self.image2(fine) + self.prompt2(prompt)
        logits = self.masks(self.second2(self.first2(F.silu(at2))))
        return logits, torch.cat([overview, _mean_inside(logits, at4)], dim=1)

    def judged(self, logits: Tensor, seen: Tensor) -> Decoded:
        """Say how good readings are, and whether the object is there."""
        return Decoded(logits, self.scores(seen), self.presence(seen)[:, 0])

    def remembered(self, coarse: Tensor, memory: Memory) -> Tensor:
        """Bring what is known of the frame before to the present one, (N, 64, 28, 28)."""
        found = self.recall(coarse, memory)
        known = [memory.coarse, memory.coarse * memory.mask, memory.mask, found]
        brought: Tensor = self.memory4(torch.cat(known, dim=1))
        return brought

    def _surveyed(self, at4: Tensor) -> tuple[Tensor, Tensor]:
        """Look at the whole crop and come back with (N, 64, 28, 28) and (N, 96)."""
        at8 = self.stage8(self.down8(at4))
        at16 = self.stage16(self.down16(at8))
        overview = at16.mean((2, 3))
        at16 = at16 + self.whole(overview)[..., None, None]
        at8 = self.merge8(at8 + resized(at16, at8))
        return self.merge4(at4 + resized(self.rise8(at8), at4)), overview


class Decoder(Drawing):
    """Answers prompts; it can also go on from the frame before."""

    def forward(
        self, fine: Tensor, coarse: Tensor, maps: Tensor, memory: Memory | None = None
    ) -> Decoded:
        """Answer prompts; shapes as in `Network.decode`."""
        remembered = None if memory is None else self.remembered(coarse, memory)
        return self.judged(*self.drawn(fine, coarse, maps, remembered))


class Follower(Drawing):
    """Goes on from the frame before, and remembers the one on which the user outlined the object.

    How alike both are is measured everywhere and inside each reading. That, and how the reading
    compares in size, tells an object from what takes its place; and how far out it was outlined
    there tells where its outline is here.
    """

    def __init__(self) -> None:
        super().__init__(COMPARED)
        self.origin = Recall(COARSE_CHANNELS)
        self.origin4 = nn.Conv2d(2 * COARSE_CHANNELS + 4, 64, 3, 1, 1, bias=False)

    def forward(
        self, fine: Tensor, coarse: Tensor, maps: Tensor, memory: Memory, first: Memory
    ) -> Decoded:
        """Find objects; shapes as in `Network.follow`."""
        remembered = self.remembered(coarse, memory) + self._original(coarse, first)
        logits, seen = self.drawn(fine, coarse, maps, remembered)
        compared = self._compared(logits, coarse, (first, memory))
        return self.judged(logits, torch.cat([seen, compared], dim=1))

    def _original(self, coarse: Tensor, first: Memory) -> Tensor:
        found = self.origin.compared(coarse, first)
        known = [first.coarse, first.coarse * first.mask, first.mask, found]
        brought: Tensor = self.origin4(torch.cat(known, dim=1))
        return brought

    def _compared(self, logits: Tensor, coarse: Tensor, memories: Sequence[Memory]) -> Tensor:
        """Likeness and size of each reading, compared to what is remembered, (N, 12)."""
        inside = F.avg_pool2d(torch.sigmoid(logits.detach().float()), 2)
        now = self.origin.means(coarse, inside.to(coarse.dtype))
        compared = []
        for memory in memories:
            mask = memory.mask.to(coarse.dtype)
            alike = (now * self.origin.means(memory.coarse, mask)).sum(2)
            grown = (inside.sum((2, 3)) + 1).log() - (memory.mask.float().sum((2, 3)) + 1).log()
            compared += [alike, grown.clamp(-LARGEST_CHANGE, LARGEST_CHANGE).to(alike.dtype)]
        return torch.cat(compared, dim=1)


def _mean_inside(logits: Tensor, at4: Tensor) -> Tensor:
    """Mean features inside each reading, (N, 3 * 64)."""
    inside = F.avg_pool2d(torch.sigmoid(logits.detach().float()), 2).to(at4.dtype).flatten(2)
    sums = inside @ at4.flatten(2).transpose(1, 2)
    return (sums / (inside.sum(2, keepdim=True) + 1)).flatten(1)
