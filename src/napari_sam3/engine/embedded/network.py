"""The embedded network: a picture is encoded once, every prompt on it is decoded cheaply."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import without_triton  # noqa: F401  before torch imports it
from .network_layers import conv_batch_act, conv_group_act, resized, stage

CROP = 112
"""Side of the square a prompt is decoded in, in pixels of the encoded picture."""
FINE_STRIDE = 2
COARSE_STRIDE = 4
FINE_CHANNELS = 32
COARSE_CHANNELS = 64
PROMPT_MAPS = 7
READINGS = 3
MULTIPLE = 16
"""Height and width of an encoded picture are multiples of this."""


class Features(NamedTuple):
    """What the encoder sees in a batch of pictures."""

    fine: Tensor
    """(B, 32, H/2, W/2)"""
    coarse: Tensor
    """(B, 64, H/4, W/4)"""
    dense: Tensor
    """(B, 3, H/2, W/2) logits of foreground, centre distance and boundary."""


class Memory(NamedTuple):
    """The object on the previous frame, cropped at the place where it is sought now."""

    coarse: Tensor
    """(N, 64, 28, 28) coarse features of the previous frame; zeros where there is none."""
    mask: Tensor
    """(N, 1, 28, 28) share of each cell that the object covered; zeros where there is none."""


class Decoded(NamedTuple):
    """What the decoder answers to a batch of prompts."""

    logits: Tensor
    """(N, 3, 56, 56) three readings of each prompt; positive inside the mask."""
    scores: Tensor
    """(N, 3) expected intersection over union of each reading."""
    presence: Tensor
    """(N,) logit of the object being on this frame at all."""


def prepare(rgb: Tensor) -> Tensor:
    """Turn pictures as the user sees them into the four channels the encoder reads.

    Parameters
    ----------
    rgb : (B, 3, H, W) in 0..1, composed with one contrast for the whole stack.

    Returns
    -------
    (B, 4, H, W): grey, locally normalised grey, red minus grey, blue minus grey.
    """
    rgb = rgb.float()
    grey = rgb.mean(1, keepdim=True)
    around = _surroundings(grey)
    spread = (_surroundings(grey * grey) - around * around).clamp_min(0).sqrt()
    local = ((grey - around) / (spread + 0.03)).clamp(-3, 3)
    return torch.cat([grey * 2 - 1, local * 0.5, rgb[:, :1] - grey, rgb[:, 2:] - grey], dim=1)


def _surroundings(grey: Tensor) -> Tensor:
    """Mean over some fifty pixels around every pixel."""
    small = F.avg_pool2d(grey, 8, ceil_mode=True)
    small = F.avg_pool2d(F.pad(small, (2, 2, 2, 2), mode="replicate"), 5, 1)
    small = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return resized(small, grey)


class Encoder(nn.Module):
    """Convolutional pyramid that looks at whole pictures."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, deepest = 24, 64, 112, 160
        self.stage2 = stage(4, half, residuals=1, size=5)
        self.stage4 = stage(half, quarter, residuals=1)
        self.stage8 = stage(quarter, eighth, residuals=2)
        self.stage16 = stage(eighth, deepest, residuals=2)
        self.rise16 = conv_batch_act(deepest, eighth, 1)
        self.merge8 = conv_batch_act(eighth, eighth)
        self.rise8 = conv_batch_act(eighth, COARSE_CHANNELS, 1)
        self.side4 = conv_batch_act(quarter, COARSE_CHANNELS, 1)
        self.merge4 = conv_batch_act(COARSE_CHANNELS, COARSE_CHANNELS)
        self.rise4 = conv_batch_act(COARSE_CHANNELS, FINE_CHANNELS, 1)
        self.side2 = conv_batch_act(half, FINE_CHANNELS, 1)
        self.merge2 = conv_batch_act(FINE_CHANNELS, FINE_CHANNELS)
        self.dense = nn.Conv2d(FINE_CHANNELS, 3, 3, 1, 1)

    def forward(self, prepared: Tensor) -> Features:
        """Encode what `prepare` made."""
        at2 = self.stage2(prepared)
        at4 = self.stage4(at2)
        at8 = self.stage8(at4)
        at16 = self.stage16(at8)
        at8 = self.merge8(at8 + resized(self.rise16(at16), at8))
        coarse = self.merge4(self.side4(at4) + resized(self.rise8(at8), at4))
        fine = self.merge2(self.side2(at2) + resized(self.rise4(coarse), at2))
        return Features(fine, coarse, self.dense(fine))


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


class Decoder(nn.Module):
    """Small U-shaped network that turns prompts on a crop into masks."""

    def __init__(self) -> None:
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
        seen = deep + READINGS * wide
        self.scores = nn.Sequential(nn.Linear(seen, 96), nn.SiLU(), nn.Linear(96, READINGS))
        self.presence = nn.Sequential(nn.Linear(seen, 48), nn.SiLU(), nn.Linear(48, 1))

    def forward(
        self, fine: Tensor, coarse: Tensor, maps: Tensor, memory: Memory | None = None
    ) -> Decoded:
        """Answer prompts; shapes as in `Network.decode`."""
        prompt = self.prompt(maps)
        at4 = self.image4(coarse) + self.prompt4(prompt)
        if memory is not None:
            at4 = at4 + self.memory4(self._remembered(coarse, memory))
        at4 = F.silu(at4)
        at4, overview = self._surveyed(at4 + self.second4(self.first4(at4)))
        at2 = resized(self.rise4(at4), fine) + self.image2(fine) + self.prompt2(prompt)
        logits = self.masks(self.second2(self.first2(F.silu(at2))))
        seen = torch.cat([overview, _mean_inside(logits, at4)], dim=1)
        return Decoded(logits, self.scores(seen), self.presence(seen)[:, 0])

    def _remembered(self, coarse: Tensor, memory: Memory) -> Tensor:
        found = self.recall(coarse, memory)
        return torch.cat([memory.coarse, memory.coarse * memory.mask, memory.mask, found], dim=1)

    def _surveyed(self, at4: Tensor) -> tuple[Tensor, Tensor]:
        """Look at the whole crop and come back with (N, 64, 28, 28) and (N, 96)."""
        at8 = self.stage8(self.down8(at4))
        at16 = self.stage16(self.down16(at8))
        overview = at16.mean((2, 3))
        at16 = at16 + self.whole(overview)[..., None, None]
        at8 = self.merge8(at8 + resized(at16, at8))
        return self.merge4(at4 + resized(self.rise8(at8), at4)), overview


def _mean_inside(logits: Tensor, at4: Tensor) -> Tensor:
    """Mean features inside each reading, (N, 3 * 64)."""
    inside = F.avg_pool2d(torch.sigmoid(logits.detach().float()), 2).to(at4.dtype).flatten(2)
    sums = inside @ at4.flatten(2).transpose(1, 2)
    return (sums / (inside.sum(2, keepdim=True) + 1)).flatten(1)


class Network(nn.Module):
    """Encoder and decoder of the embedded model."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()

    def encode(self, rgb: Tensor) -> Features:
        """Encode whole pictures.

        Parameters
        ----------
        rgb : (B, 3, H, W) in 0..1, H and W multiples of 16.
        """
        prepared = prepare(rgb).contiguous(memory_format=torch.channels_last)
        features: Features = self.encoder(prepared)
        return features

    def decode(
        self, fine: Tensor, coarse: Tensor, maps: Tensor, memory: Memory | None = None
    ) -> Decoded:
        """Answer prompts, each on a crop of its own.

        Parameters
        ----------
        fine : (N, 32, 56, 56) crops of the fine features.
        coarse : (N, 64, 28, 28) crops of the coarse features at the same places.
        maps : (N, 7, 56, 56) prompts as `prompt_maps.render` draws them.
        memory : the previous frame. To follow an object, also give its old mask to the prompt maps.
        """
        decoded: Decoded = self.decoder(fine, coarse, maps, memory)
        return decoded


def fold_batchnorm(network: Network) -> Network:
    """Merge every batch normalisation into its convolution, in place; for inference only."""
    network.eval()
    for block in network.modules():
        if isinstance(block, nn.Sequential) and len(block) > 1:
            conv, norm = block[0], block[1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[0] = nn.utils.fuse_conv_bn_eval(conv, norm)
                block[1] = nn.Identity()
    return network
