"""The prompt encoder and the mask decoder of the SAM family, for many objects of one image."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ....values import Box, HypothesisName, Mask, Prompts, named_hypotheses
from ..base import Prediction
from ..micro_batches import MicroBatches
from .preprocessing import FeaturePyramid, Resizing

MASK_LOGIT = 10.0
"""The logit of a pixel inside of a given mask, and the negative one of all outside."""
NOT_A_POINT = -1
"""The label of a point that is none."""


@dataclass(frozen=True, slots=True, eq=False)
class DecoderQuery:
    """The prompts for one object, on the square of a model."""

    points: NDArray[np.float32]  # (N, 2) as (x, y) in pixels of the square
    labels: NDArray[np.int32]  # (N,), 1 inside of the object, 0 outside
    box: NDArray[np.float32] | None  # (4,) as (x, y, x, y) of the first and the last corner
    mask_input: Tensor | None  # (h, w) low-resolution logits of a mask to start from

    @classmethod
    def of(
        cls, prompts: Prompts, previous: Prediction | None, resizing: Resizing, mask_side: int
    ) -> Self:
        """Encode prompts, which refine a previous prediction where there is one.

        A mask is given together with its box, since the models were trained with masks only beside
        other prompts. Several boxes become one around all. ``mask_side`` is that of the logits.
        """
        mask_input = _previous_logits(previous)
        corners = _box_corners(prompts)
        if mask_input is None and prompts.mask is not None:
            mask_input = mask_logits(prompts.mask, resizing, mask_side)
        return cls(
            resizing.points(prompts.points),
            prompts.positive.astype(np.int32),
            None if corners is None else resizing.points(corners).reshape(4),
            mask_input,
        )

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is a single point, which may mean an object or a part of it."""
        return len(self.points) == 1 and self.box is None and self.mask_input is None

    @property
    def batch_key(self) -> Hashable:
        """What is equal in all queries of a batch.

        A shorter query is not padded to the length of a longer one: the models attend to padding,
        and a prediction would depend on the rest of the batch.
        """
        return len(self.points), self.box is None, self.is_ambiguous


def mask_logits(mask: NDArray[np.bool_], resizing: Resizing, side: int) -> Tensor:
    """Resize a mask (H, W) to logits (side, side)."""
    rows, cols = resizing.unpadded(side)
    shares = F.interpolate(
        torch.from_numpy(mask.astype(np.float32))[None, None],
        size=(rows, cols),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    padded = F.pad(shares[0, 0], (0, side - cols, 0, side - rows))
    return padded * (2 * MASK_LOGIT) - MASK_LOGIT


def _previous_logits(previous: Prediction | None) -> Tensor | None:
    """Return the logits of the hypothesis that is first by now, whichever was best."""
    if previous is None or not previous.memory:
        return None
    logits: Tensor = previous.memory[previous.hypotheses[0].name]
    return logits


def _box_corners(prompts: Prompts) -> NDArray[np.float64] | None:
    """Return the (row, col) of two corners, (2, 2), around all boxes, or else the mask."""
    if len(prompts.boxes):
        return np.stack([prompts.boxes[:, :2].min(0), prompts.boxes[:, 2:].max(0)])
    if prompts.mask is None:
        return None
    top, left, bottom, right = Box.around(prompts.mask)
    return np.array([[top, left], [bottom - 1, right - 1]], np.float64)


def upscaled_mask(logits: Tensor, resizing: Resizing) -> NDArray[np.bool_]:
    """Upscale logits (h, w) of the square to the image, (H, W), and threshold them at zero."""
    if resizing.size != (resizing.side, resizing.side):
        logits = _resized(logits, (resizing.side, resizing.side))
        logits = logits[: resizing.size[0], : resizing.size[1]]
    return (_resized(logits, resizing.shape) > 0).cpu().numpy()


def upscaled_hypotheses(
    logits: Tensor, scores: Sequence[float], resizing: Resizing
) -> tuple[tuple[Mask, ...], dict[HypothesisName, Tensor]]:
    """Upscale logits (K, h, w) one by one; return the hypotheses, and the logits of each by name.

    Of a hypothesis only the pixels around it are kept.
    """
    masks = [upscaled_mask(channel, resizing) for channel in logits]
    hypotheses = named_hypotheses(
        [Mask.of(mask, float(score)) for mask, score in zip(masks, scores, strict=True)]
    )
    logits_of = {id(mask): channel for mask, channel in zip(masks, logits, strict=True)}
    by_name = {
        # a copy, so that one prediction does not keep those that were decoded in its batch
        hypothesis.name: logits_of[id(hypothesis.crop)].to("cpu", copy=True)
        for hypothesis in hypotheses
    }
    return tuple(mask.trimmed() for mask in hypotheses), by_name


def _resized(channel: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize one channel, (h, w)."""
    batch = channel[None, None].float()
    return F.interpolate(batch, size, mode="bilinear", align_corners=False)[0, 0]


@dataclass(frozen=True, slots=True, eq=False)
class DecoderOutput:
    """What a mask decoder predicts of one object: one mask, or three if it is ambiguous."""

    logits: Tensor  # (K, h, w) float32
    scores: Tensor  # (K,) float32, predicted intersection over union, 0..1
    presence: float = 1.0  # how sure it is that the object is on the image, 0..1


@dataclass(frozen=True, slots=True, eq=False)
class ImageDecoder:
    """A mask decoder with the features of one image."""

    decode_batch: Callable[[Sequence[DecoderQuery]], Sequence[DecoderOutput]]  # of one batch key
    resizing: Resizing
    mask_side: int  # of the logits
    micro_batches: MicroBatches

    def segment(
        self, prompts: Sequence[Prompts], previous: Sequence[Prediction | None]
    ) -> list[Prediction]:
        """Segment several objects by their prompts; see `Backend.segment`."""
        queries = [self.query(*pair) for pair in zip(prompts, previous, strict=True)]
        return [self._prediction(output) for output in self.decode(queries)]

    def query(self, prompts: Prompts, previous: Prediction | None) -> DecoderQuery:
        """Turn prompts, which refine a previous prediction where there is one, into a query."""
        return DecoderQuery.of(prompts, previous, self.resizing, self.mask_side)

    def decode(self, queries: Sequence[DecoderQuery]) -> list[DecoderOutput]:
        """Decode queries of all kinds, those of one batch key together."""
        return self.micro_batches.run(self.decode_batch, queries, attrgetter("batch_key"))

    def _prediction(self, output: DecoderOutput) -> Prediction:
        """Upscale an output; the prediction keeps the logits of its hypotheses by name."""
        scores = output.scores.tolist()
        hypotheses, logits = upscaled_hypotheses(output.logits, scores, self.resizing)
        return Prediction(hypotheses, output.presence, logits)


@dataclass(frozen=True, slots=True, eq=False)
class PromptEmbeddings:
    """The encoded prompts of N objects, T tokens each."""

    sparse: Tensor  # (N, 1, T, C) points and corners of boxes
    dense: Tensor  # (N, C, g, g) mask inputs
    multimask_output: bool  # whether several masks are decoded of each object


class PromptEncoder:
    """Encodes prompts in float32: in half precision, points would move by pixels.

    Parameters
    ----------
    encoder : Module
        The prompt encoder of any model of the SAM family. It becomes float32.
    dtype, device
        Of the embeddings.
    """

    def __init__(self, encoder: Any, dtype: torch.dtype, device: torch.device) -> None:
        self._encoder = encoder.float()
        self._dtype = dtype
        self._device = device
        self.mask_side = 4 * int(encoder.image_embedding_size[0])  # of the decoder's masks

    def encode(self, queries: Sequence[DecoderQuery]) -> PromptEmbeddings:
        """Encode queries of one batch key."""
        first = queries[0]
        points = labels = boxes = None
        if len(first.points):
            points = self._stacked([query.points for query in queries])
            labels = self._stacked([query.labels for query in queries])
        if first.box is not None:
            boxes = self._stacked([query.box for query in queries if query.box is not None])
        sparse, no_mask = self._encoder(points, labels, boxes, None)
        dense = self._encoded_masks([query.mask_input for query in queries], no_mask)
        return self._embeddings(sparse, dense, first.is_ambiguous)

    def encode_no_prompts(self, count: int) -> PromptEmbeddings:
        """Encode so many objects without any prompt."""
        points = torch.zeros(count, 1, 1, 2, device=self._device)
        labels = torch.full((count, 1, 1), NOT_A_POINT, device=self._device)
        sparse, dense = self._encoder(points, labels, None, None)
        return self._embeddings(sparse, dense, True)

    def encode_masks(self, mask_inputs: Tensor) -> PromptEmbeddings:
        """Encode nothing but the logits of masks, (N, 1, h, w)."""
        dense = self._encoder.mask_embed(mask_inputs.float()).to(self._dtype)
        return replace(self.encode_no_prompts(len(mask_inputs)), dense=dense)

    def _encoded_masks(self, mask_inputs: Sequence[Tensor | None], no_mask: Tensor) -> Tensor:
        dense = no_mask.expand(len(mask_inputs), -1, -1, -1).clone()
        given = {index: mask for index, mask in enumerate(mask_inputs) if mask is not None}
        if given:
            stacked = torch.stack(list(given.values()))[:, None]
            dense[list(given)] = self._encoder.mask_embed(stacked.to(self._device, torch.float32))
        return dense

    def _embeddings(
        self, sparse: Tensor, dense: Tensor, multimask_output: bool
    ) -> PromptEmbeddings:
        return PromptEmbeddings(sparse.to(self._dtype), dense.to(self._dtype), multimask_output)

    def _stacked(self, arrays: Sequence[NDArray[np.generic]]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)[:, None]).to(self._device)


@dataclass(frozen=True, slots=True, eq=False)
class BatchOutput:
    """What a mask decoder predicts of N objects, K masks of each."""

    logits: Tensor  # (N, K, h, w) float32
    scores: Tensor  # (N, K) float32, predicted intersection over union, 0..1
    mask_tokens: Tensor  # (N, K, C)
    presence: Tensor  # (N,) float32 object score logits

    def split(self) -> list[DecoderOutput]:
        """Return what is predicted of each object."""
        presence = torch.sigmoid(self.presence).tolist()
        objects = zip(self.logits, self.scores, presence, strict=True)
        return [DecoderOutput(*output) for output in objects]


class PromptDecoder:
    """The prompt encoder and the mask decoder of SAM 2, SAM 3 or EdgeTAM.

    A single point may mean a whole, a part or a part of that, and gets the multimask output. All
    other prompts get the single mask that the model has for clear prompts.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the prompt encoder and the mask decoder.
    side : int
        Of the square that the model encodes, in pixels.
    dtype, device
        Of the mask decoder.
    """

    def __init__(
        self, tracker: Any, side: int, dtype: torch.dtype, device: str | torch.device
    ) -> None:
        self._decoder = tracker.mask_decoder
        self._no_memory = tracker.no_memory_embedding.view(1, -1, 1, 1)
        self._positional_encoding = positional_encoding(tracker).to(dtype)
        self.side = side
        self.encoder = PromptEncoder(tracker.prompt_encoder, dtype, torch.device(device))
        self.micro_batches = MicroBatches()

    def on_image(self, pyramid: FeaturePyramid) -> ImageDecoder:
        """Return the decoder for one image."""
        return ImageDecoder(
            partial(self._decode_batch, pyramid),
            Resizing.to_square(pyramid.shape, self.side),
            self.encoder.mask_side,
            self.micro_batches,
        )

    def decode(
        self, pyramid: FeaturePyramid, coarse: Tensor, prompts: PromptEmbeddings
    ) -> BatchOutput:
        """Decode the prompts of N objects, each with its own coarse features, (N, C, g, g)."""
        logits, scores, mask_tokens, presence = self._decoder(
            image_embeddings=coarse,
            image_positional_embeddings=self._positional_encoding,
            sparse_prompt_embeddings=prompts.sparse,
            dense_prompt_embeddings=prompts.dense,
            multimask_output=prompts.multimask_output,
            high_resolution_features=[pyramid.fine, pyramid.middle],
        )
        return BatchOutput(
            logits[:, 0].float(),
            scores[:, 0].float().clamp(0, 1),
            mask_tokens[:, 0],
            presence.flatten().float(),
        )

    def _decode_batch(
        self, pyramid: FeaturePyramid, queries: Sequence[DecoderQuery]
    ) -> list[DecoderOutput]:
        """Decode queries of one batch key, without memory of other images."""
        coarse = (pyramid.coarse + self._no_memory).expand(len(queries), -1, -1, -1)
        return self.decode(pyramid, coarse, self.encoder.encode(queries)).split()


def positional_encoding(model: Any) -> Tensor:
    """Return the positional encoding of the coarse features, (1, C, g, g), in float32 as points."""
    model.shared_image_embedding.float()
    encoding: Tensor = model.get_image_wide_positional_embeddings()
    return encoding
