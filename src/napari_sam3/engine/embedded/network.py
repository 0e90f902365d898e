"""The embedded network: a picture is encoded once, every prompt on it is decoded cheaply."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import without_triton  # noqa: F401  before torch imports it
from .decoders import Decoder, Follower
from .features import COARSE_CHANNELS, FINE_CHANNELS, Decoded, Features, Memory
from .network_layers import conv_batch_act, resized, stage


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


class Network(nn.Module):
    """Encoder and decoders of the embedded model."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.follower = Follower()

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

    def follow(
        self, fine: Tensor, coarse: Tensor, maps: Tensor, memory: Memory, first: Memory
    ) -> Decoded:
        """Find objects of other frames on crops around where they were.

        Decoder and follower both answer, and the mean counts: where they err, they seldom agree.

        Parameters
        ----------
        fine, coarse : as for `decode`.
        maps : (N, 7, 56, 56) with the mask of the frame before.
        memory : the frame before, on the same crops.
        first : the frame on which the object was outlined, on crops around it there.
        """
        answers = (
            self.decoder(fine, coarse, maps, memory),
            self.follower(fine, coarse, maps, memory, first),
        )
        return Decoded(*((one + other) / 2 for one, other in zip(*answers, strict=True)))


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
