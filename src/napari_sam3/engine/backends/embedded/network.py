"""The embedded network: an image is encoded once, every prompt on it is decoded cheaply.

The attributes of its modules name the tensors in the file of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import without_triton  # noqa: F401  before torch or transformers are imported

CROP = 112
"""Side of the square that a prompt is decoded on, in pixels of the encoded image."""
FINE_STRIDE = 2
COARSE_STRIDE = 4
FINE_CHANNELS = 32
COARSE_CHANNELS = 64
PROMPT_PLANES = 7
HYPOTHESES = 3
SIZE_MULTIPLE = 16
"""Height and width of an encoded image are multiples of this."""
SURROUNDINGS = 9
"""Width of the surroundings of an object, with the object in the middle, in coarse cells."""
COMPARISONS = 4 * HYPOTHESES
"""Similarity and size of each mask hypothesis, compared to the first and to the last frame."""
LARGEST_CHANGE = 2.0
"""Size is compared by its logarithm, up to this difference."""


class Features(NamedTuple):
    """What the encoder makes of a batch of images: two levels of features and the dense head."""

    fine: Tensor
    """(B, 32, H/2, W/2)"""
    coarse: Tensor
    """(B, 64, H/4, W/4)"""
    dense: Tensor
    """(B, 3, H/2, W/2) logits of foreground, centre distance and boundary."""


class Memory(NamedTuple):
    """Objects on an earlier frame, as memory attention compares them to the current frame."""

    coarse: Tensor
    """(N, 64, 28, 28) coarse features of the earlier frame; zeros where there is none."""
    mask: Tensor
    """(N, 1, 28, 28) share of each cell inside the object; zeros where there is none."""


class MultimaskOutput(NamedTuple):
    """What a decoder predicts for a batch of prompts: three mask hypotheses of each."""

    logits: Tensor
    """(N, 3, 56, 56) mask logits of the hypotheses; positive inside the mask."""
    scores: Tensor
    """(N, 3) predicted intersection over union of each hypothesis."""
    presence: Tensor
    """(N,) logit of the object being on this frame at all."""


class Network(nn.Module):
    """Image encoder, prompt decoder and propagation decoder of the embedded model."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = PromptDecoder()
        self.propagation_decoder = PropagationDecoder()

    def encode(self, rgb: Tensor) -> Features:
        """Encode whole images.

        Parameters
        ----------
        rgb : (B, 3, H, W) in 0..1, H and W multiples of 16.
        """
        prepared = prepare(rgb).contiguous(memory_format=torch.channels_last)
        features: Features = self.encoder(prepared)
        return features

    def decode(
        self, fine: Tensor, coarse: Tensor, planes: Tensor, memory: Memory | None = None
    ) -> MultimaskOutput:
        """Decode prompts, each on a crop of its own.

        Parameters
        ----------
        fine : (N, 32, 56, 56) crops of the fine features.
        coarse : (N, 64, 28, 28) crops of the coarse features, from the same pixels.
        planes : (N, 7, 56, 56) prompts as `prompt_encoder.encode_prompts` draws them.
        memory : the previous frame. To propagate an object, also give its mask there as a prompt.
        """
        output: MultimaskOutput = self.decoder(fine, coarse, planes, memory)
        return output

    def propagate(
        self, fine: Tensor, coarse: Tensor, planes: Tensor, memory: Memory, first: Memory
    ) -> MultimaskOutput:
        """Decode objects of earlier frames on crops around where they were.

        The mean of both decoders counts: where they err, they seldom agree.

        Parameters
        ----------
        fine, coarse : as for `decode`.
        planes : (N, 7, 56, 56) with the mask of the previous frame.
        memory : the previous frame, on the same crops.
        first : the frame on which the object was outlined, on crops around it there.
        """
        outputs = (
            self.decoder(fine, coarse, planes, memory),
            self.propagation_decoder(fine, coarse, planes, memory, first),
        )
        pairs = zip(*outputs, strict=True)
        return MultimaskOutput(*((prompted + propagated) / 2 for prompted, propagated in pairs))


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


def prepare(rgb: Tensor) -> Tensor:
    """Turn images into the four channels that the encoder reads.

    Parameters
    ----------
    rgb : (B, 3, H, W) in 0..1, composed with one contrast for the whole stack.

    Returns
    -------
    (B, 4, H, W): grey, locally normalised grey, red minus grey, blue minus grey.
    """
    rgb = rgb.float()
    grey = rgb.mean(1, keepdim=True)
    around = _local_mean(grey)
    deviation = (_local_mean(grey * grey) - around * around).clamp_min(0).sqrt()
    local = ((grey - around) / (deviation + 0.03)).clamp(-3, 3)
    return torch.cat([grey * 2 - 1, local * 0.5, rgb[:, :1] - grey, rgb[:, 2:] - grey], dim=1)


def _local_mean(grey: Tensor) -> Tensor:
    """Mean over some fifty pixels around every pixel."""
    small = F.avg_pool2d(grey, 8, ceil_mode=True)
    small = F.avg_pool2d(F.pad(small, (2, 2, 2, 2), mode="replicate"), 5, 1)
    small = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return _resized(small, grey)


class Encoder(nn.Module):
    """Convolutional feature pyramid of whole images, with a dense head."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, deepest = 24, 64, 112, 160
        self.stage2 = _stage(4, half, residuals=1, size=5)
        self.stage4 = _stage(half, quarter, residuals=1)
        self.stage8 = _stage(quarter, eighth, residuals=2)
        self.stage16 = _stage(eighth, deepest, residuals=2)
        self.rise16 = _conv_batch_act(deepest, eighth, 1)
        self.merge8 = _conv_batch_act(eighth, eighth)
        self.rise8 = _conv_batch_act(eighth, COARSE_CHANNELS, 1)
        self.side4 = _conv_batch_act(quarter, COARSE_CHANNELS, 1)
        self.merge4 = _conv_batch_act(COARSE_CHANNELS, COARSE_CHANNELS)
        self.rise4 = _conv_batch_act(COARSE_CHANNELS, FINE_CHANNELS, 1)
        self.side2 = _conv_batch_act(half, FINE_CHANNELS, 1)
        self.merge2 = _conv_batch_act(FINE_CHANNELS, FINE_CHANNELS)
        self.dense = nn.Conv2d(FINE_CHANNELS, 3, 3, 1, 1)

    def forward(self, prepared: Tensor) -> Features:
        """Encode what `prepare` returns."""
        at2 = self.stage2(prepared)
        at4 = self.stage4(at2)
        at8 = self.stage8(at4)
        at16 = self.stage16(at8)
        at8 = self.merge8(at8 + _resized(self.rise16(at16), at8))
        coarse = self.merge4(self.side4(at4) + _resized(self.rise8(at8), at4))
        fine = self.merge2(self.side2(at2) + _resized(self.rise4(coarse), at2))
        return Features(fine, coarse, self.dense(fine))


class MaskDecoder(nn.Module):
    """Small U-shaped network that decodes prompts on a crop into masks.

    Parameters
    ----------
    comparisons : how many numbers beside its own features the hypotheses are scored by.
    """

    def __init__(self, comparisons: int = 0) -> None:
        super().__init__()
        wide, deep, slim = 64, 96, 24
        self.prompt = _conv_group_act(PROMPT_PLANES, 16)
        self.prompt4 = nn.Conv2d(16, wide, 3, 2, 1)
        self.image4 = nn.Conv2d(COARSE_CHANNELS, wide, 1)
        self.recall = MemoryAttention(COARSE_CHANNELS)
        self.memory4 = nn.Conv2d(2 * COARSE_CHANNELS + 3, wide, 3, 1, 1, bias=False)
        self.first4 = _conv_group_act(wide, wide)
        self.second4 = _conv_group_act(wide, wide)
        self.down8 = _conv_group_act(wide, deep, 2)
        self.stage8 = _conv_group_act(deep, deep)
        self.down16 = _conv_group_act(deep, deep, 2)
        self.stage16 = _conv_group_act(deep, deep)
        self.whole = nn.Linear(deep, deep)
        self.merge8 = _conv_group_act(deep, deep)
        self.rise8 = nn.Conv2d(deep, wide, 1)
        self.merge4 = _conv_group_act(wide, wide)
        self.rise4 = nn.Conv2d(wide, slim, 1)
        self.image2 = nn.Conv2d(FINE_CHANNELS, slim, 1)
        self.prompt2 = nn.Conv2d(16, slim, 1)
        self.first2 = _conv_group_act(slim, slim)
        self.second2 = _conv_group_act(slim, slim)
        self.masks = nn.Conv2d(slim, HYPOTHESES, 1)
        inputs = deep + HYPOTHESES * wide + comparisons
        self.scores = nn.Sequential(nn.Linear(inputs, 96), nn.SiLU(), nn.Linear(96, HYPOTHESES))
        self.presence = nn.Sequential(nn.Linear(inputs, 48), nn.SiLU(), nn.Linear(48, 1))

    def decode_masks(
        self, fine: Tensor, coarse: Tensor, planes: Tensor, memory: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of three hypotheses, (N, 3, 56, 56), and features of them, (N, 288).

        ``memory`` is what `read_memory` returns, or None.
        """
        prompt = self.prompt(planes)
        at4 = self.image4(coarse) + self.prompt4(prompt)
        if memory is not None:
            at4 = at4 + memory
        at4 = F.silu(at4)
        at4, overview = self._with_context(at4 + self.second4(self.first4(at4)))
        at2 = _resized(self.rise4(at4), fine) + self.image2(fine) + self.prompt2(prompt)
        logits = self.masks(self.second2(self.first2(F.silu(at2))))
        return logits, torch.cat([overview, _mean_inside(logits, at4)], dim=1)

    def score_masks(self, logits: Tensor, features: Tensor) -> MultimaskOutput:
        """Predict how good hypotheses are, and whether the object is there."""
        return MultimaskOutput(logits, self.scores(features), self.presence(features)[:, 0])

    def read_memory(self, coarse: Tensor, memory: Memory) -> Tensor:
        """Return what is known of the previous frame on the current frame, (N, 64, 28, 28)."""
        attended = self.recall(coarse, memory)
        known = [memory.coarse, memory.coarse * memory.mask, memory.mask, attended]
        conditioning: Tensor = self.memory4(torch.cat(known, dim=1))
        return conditioning

    def _with_context(self, at4: Tensor) -> tuple[Tensor, Tensor]:
        """Return features with the context of the whole crop, (N, 64, 28, 28) and (N, 96)."""
        at8 = self.stage8(self.down8(at4))
        at16 = self.stage16(self.down16(at8))
        overview = at16.mean((2, 3))
        at16 = at16 + self.whole(overview)[..., None, None]
        at8 = self.merge8(at8 + _resized(at16, at8))
        return self.merge4(at4 + _resized(self.rise8(at8), at4)), overview


class PromptDecoder(MaskDecoder):
    """Decodes prompts; it can also propagate from the previous frame."""

    def forward(
        self, fine: Tensor, coarse: Tensor, planes: Tensor, memory: Memory | None = None
    ) -> MultimaskOutput:
        """Decode prompts; shapes as in `Network.decode`."""
        conditioning = None if memory is None else self.read_memory(coarse, memory)
        return self.score_masks(*self.decode_masks(fine, coarse, planes, conditioning))


class PropagationDecoder(MaskDecoder):
    """Propagates from the previous frame and from the frame on which the object was outlined.

    The similarity to both is measured everywhere and inside each hypothesis. That, and how the
    hypothesis compares in size, tells an object from its neighbours; and how far out it was
    outlined on the first frame tells where its outline is here.
    """

    def __init__(self) -> None:
        super().__init__(COMPARISONS)
        self.origin = MemoryAttention(COARSE_CHANNELS)
        self.origin4 = nn.Conv2d(2 * COARSE_CHANNELS + 4, 64, 3, 1, 1, bias=False)

    def forward(
        self, fine: Tensor, coarse: Tensor, planes: Tensor, memory: Memory, first: Memory
    ) -> MultimaskOutput:
        """Decode objects; shapes as in `Network.propagate`."""
        conditioning = self.read_memory(coarse, memory) + self._read_first(coarse, first)
        logits, features = self.decode_masks(fine, coarse, planes, conditioning)
        comparisons = self._comparisons(logits, coarse, (first, memory))
        return self.score_masks(logits, torch.cat([features, comparisons], dim=1))

    def _read_first(self, coarse: Tensor, first: Memory) -> Tensor:
        attended = self.origin.compare(coarse, first)
        known = [first.coarse, first.coarse * first.mask, first.mask, attended]
        conditioning: Tensor = self.origin4(torch.cat(known, dim=1))
        return conditioning

    def _comparisons(self, logits: Tensor, coarse: Tensor, memories: Sequence[Memory]) -> Tensor:
        """Similarity and size of each hypothesis, compared to the memories, (N, 12)."""
        inside = F.avg_pool2d(torch.sigmoid(logits.detach().float()), 2)
        current = self.origin.mean_keys(coarse, inside.to(coarse.dtype))
        comparisons = []
        for memory in memories:
            mask = memory.mask.to(coarse.dtype)
            similarity = (current * self.origin.mean_keys(memory.coarse, mask)).sum(2)
            growth = (inside.sum((2, 3)) + 1).log() - (memory.mask.float().sum((2, 3)) + 1).log()
            growth = growth.clamp(-LARGEST_CHANGE, LARGEST_CHANGE).to(similarity.dtype)
            comparisons += [similarity, growth]
        return torch.cat(comparisons, dim=1)


class MemoryAttention(nn.Module):
    """Attends from the current frame to an earlier frame, by similarity and distance."""

    distances: Tensor

    def __init__(self, channels: int, keys: int = 32) -> None:
        super().__init__()
        self.key = nn.Conv2d(channels, keys, 1, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(12.0))
        self.reach = nn.Parameter(torch.tensor(6.0))
        current = torch.arange(CROP // COARSE_STRIDE).float()
        earlier = current.unflatten(0, (-1, 2)).mean(1)
        distances = torch.cdist(
            torch.cartesian_prod(current, current), torch.cartesian_prod(earlier, earlier)
        )
        self.register_buffer("distances", distances**2, persistent=False)

    def forward(self, coarse: Tensor, memory: Memory) -> Tensor:
        """Return, per cell, the mask at the best matching cells and the similarity to the object.

        Returns
        -------
        (N, 2, 28, 28): the mask carried over, and similarity to the object's mean key; 0 without
        memory.
        """
        attended = coarse.new_zeros(len(coarse), 2, *coarse.shape[-2:])
        has_memory = memory.mask.flatten(1).any(1)
        if has_memory.any():
            known = Memory(memory.coarse[has_memory], memory.mask[has_memory])
            attended[has_memory] = self._attend(coarse[has_memory], known).to(attended.dtype)
        return attended

    def mean_keys(self, coarse: Tensor, masks: Tensor) -> Tensor:
        """Mean key (N, K, 32), of length 1, of the cells inside each of masks (N, K, 28, 28)."""
        keys = F.normalize(self.key(coarse).flatten(2), dim=1)
        return F.normalize(masks.flatten(2) @ keys.transpose(1, 2), dim=2, eps=1e-4)

    def compare(self, coarse: Tensor, memory: Memory) -> Tensor:
        """Return the mask carried over, and similarity to the object and to its surroundings.

        Returns
        -------
        (N, 3, 28, 28)
        """
        attended = self._attend(coarse, memory)
        around = F.max_pool2d(memory.mask, SURROUNDINGS, 1, SURROUNDINGS // 2) * (1 - memory.mask)
        mean = self.mean_keys(memory.coarse, around)
        current = F.normalize(self.key(coarse).flatten(2), dim=1)
        similarity = (mean @ current).unflatten(2, coarse.shape[-2:])
        return torch.cat([attended, similarity.to(attended.dtype)], dim=1)

    def _attend(self, coarse: Tensor, memory: Memory) -> Tensor:
        current = F.normalize(self.key(coarse).flatten(2), dim=1)
        earlier = F.normalize(self.key(F.avg_pool2d(memory.coarse, 2)).flatten(2), dim=1)
        mask = F.avg_pool2d(memory.mask, 2).flatten(2)
        penalty = self.distances / (2 * self.reach**2 + 1e-3)
        match = self.sharpness * (current.transpose(1, 2) @ earlier) - penalty
        carried = mask @ torch.softmax(match, dim=2).transpose(1, 2)
        mean = F.normalize((earlier * mask).sum(2, keepdim=True), dim=1)
        similarity = (current * mean).sum(1, keepdim=True)
        return torch.cat([carried, similarity], dim=1).unflatten(2, coarse.shape[-2:])


class Residual(nn.Module):
    """Two convolutions around which the input is carried."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv_batch_act(channels, channels)
        self.second = _conv_batch(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Add the output of the convolutions to `x`."""
        return F.silu(x + self.second(self.first(x)))


def _stage(inputs: int, outputs: int, residuals: int, size: int = 3) -> nn.Sequential:
    """Halve the resolution, then refine with residual blocks."""
    first = _conv_batch_act(inputs, outputs, size, 2)
    return nn.Sequential(first, *(Residual(outputs) for _ in range(residuals)))


def _conv_batch(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolve and normalise over the batch."""
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def _conv_batch_act(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolve, normalise over the batch, activate."""
    return _conv_batch(inputs, outputs, size, stride).append(nn.SiLU(inplace=True))


def _conv_group_act(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Convolve, normalise over groups of channels, activate."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(8, outputs), nn.SiLU(inplace=True))


def _resized(features: Tensor, like: Tensor) -> Tensor:
    """Resize features to the height and width of others."""
    return F.interpolate(features, like.shape[-2:], mode="bilinear", align_corners=False)


def _mean_inside(logits: Tensor, at4: Tensor) -> Tensor:
    """Mean features inside each hypothesis, (N, 3 * 64)."""
    inside = F.avg_pool2d(torch.sigmoid(logits.detach().float()), 2).to(at4.dtype).flatten(2)
    sums = inside @ at4.flatten(2).transpose(1, 2)
    return (sums / (inside.sum(2, keepdim=True) + 1)).flatten(1)
