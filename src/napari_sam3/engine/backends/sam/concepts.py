"""Detecting all objects on an image that a text or exemplars describe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTokenizer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ....values import (
    Appearance,
    Box,
    Candidates,
    Concept,
    Corners,
    Exemplar,
    Mask,
    PromptError,
    WeightsError,
    boxes_of,
)
from ...bounded_cache import BoundedCache
from .loading import UNUSABLE
from .sam3_model import Sam3, Sam3Embedding

POSITIVE, NEGATIVE = "meant", "not meant"
"""Names of the arrays in an appearance: tokens of an exemplar, and of a negative one."""
NO_TEXT = "visual"
"""The text that the detector was trained with where there are only exemplars."""
LOWEST_SCORE = 0.05
"""Candidates of a lower score are dropped; a threshold above it can be moved afterwards."""
USED_SCORE = 0.1
"""A query of a lower score is free: it has detected nothing."""
SATURATED_SHARE = 0.95
"""Where a larger share of all queries is used, objects may be left over."""
DUPLICATE_IOU = 0.5
"""Masks with a larger intersection over union are the same object."""
TEXT_CACHE_BYTES = 2**22
"""What the embeddings of texts may occupy: some hundred of them."""
COPY_TOKENIZER = "copy tokenizer.json and tokenizer_config.json of the checkpoint into it."


class Detector:
    """The detector of SAM 3, for images that are encoded."""

    def __init__(self, model: Sam3, text_encoder: TextEncoder) -> None:
        self._model = model
        self._text_encoder = text_encoder

    def find(self, embedding: Sam3Embedding, concept: Concept) -> Candidates:
        """Detect all objects of an image that are meant."""
        detections = self.detect(embedding, concept)
        best = detections.best()
        masks = [
            upscaled_crop(best.logits[n], float(best.scores[n]), embedding.shape)
            for n in suppress_duplicates(best.logits > 0)
        ]
        candidates = Candidates.of([mask for mask in masks if mask.area], embedding.shape)
        return replace(candidates, is_saturated=detections.is_saturated)

    def appearance(self, embedding: Sam3Embedding, box: Corners) -> Appearance:
        """Return the tokens, (2, C) each, of a box as an exemplar and as a negative one."""
        tokens = [self._box_tokens(embedding, box, label)[0] for label in (1, 0)]
        return {
            name: token.cpu().float().numpy()
            for name, token in zip((POSITIVE, NEGATIVE), tokens, strict=True)
        }

    def detect(self, embedding: Sam3Embedding, concept: Concept) -> Detections:
        """Return the outputs of all queries of the detector."""
        text = self._text_encoder.encode((concept.text or "").strip() or NO_TEXT)
        text = _with_exemplars(text, concept)
        positive, negative = map(boxes_of, (concept.exemplars, concept.negatives))
        boxes = relative_boxes([*positive, *negative], embedding.shape).to(self._model.device)
        labels = torch.tensor(
            [[1] * len(positive) + [0] * len(negative)], device=self._model.device
        )
        output = self._model.detector(
            vision_embeds=self._model.detector_features(embedding),
            text_embeds=BaseModelOutputWithPooling(pooler_output=text.features),
            attention_mask=text.attention_mask,
            input_boxes=boxes if concept.boxes else None,
            input_boxes_labels=labels if concept.boxes else None,
        )
        scores = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
        return Detections(output.pred_masks[0], scores[0])

    def _box_tokens(self, embedding: Sam3Embedding, box: Corners, label: int) -> Tensor:
        """Encode a box on an image, (1, 2, C): the box itself, and a summary."""
        features, device = self._model.detector_features(embedding), self._model.device
        output = self._model.detector.geometry_encoder(
            box_embeddings=relative_boxes([box], embedding.shape).to(device),
            box_mask=torch.ones(1, 1, dtype=torch.bool, device=device),
            box_labels=torch.tensor([[label]], device=device),
            img_feats=features.fpn_hidden_states[:-1],
            img_pos_embeds=features.fpn_position_encoding[:-1],
        )
        tokens: Tensor = output.last_hidden_state
        return tokens


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What the detector predicts with all its queries."""

    logits: Tensor  # (N, h, w) float32 of their masks, on the square that the model encodes
    scores: Tensor  # (N,) float32 in 0..1

    @property
    def is_saturated(self) -> bool:
        """Whether there were hardly enough queries for all objects."""
        return bool((self.scores >= USED_SCORE).float().mean() > SATURATED_SHARE)

    def best(self) -> Detections:
        """Return those worth keeping, the best first."""
        order = self.scores.argsort(descending=True, stable=True)
        order = order[self.scores[order] >= LOWEST_SCORE]
        return Detections(self.logits[order].cpu(), self.scores[order].cpu())


@dataclass(frozen=True, slots=True, eq=False)
class TextEmbedding:
    """An encoded text, padded to the length that the detector reads."""

    features: Tensor  # (1, L, C)
    attention_mask: Tensor  # (1, L) bool, False where it is padding

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.features.nbytes + self.attention_mask.nbytes


class TextEncoder:
    """Encodes texts, each of them once."""

    def __init__(self, model: Sam3, tokenizer: CLIPTokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._length: int = model.detector.config.text_config.max_position_embeddings
        self._known: BoundedCache[str, TextEmbedding] = BoundedCache(TEXT_CACHE_BYTES)

    @classmethod
    def load(cls, folder: Path, model: Sam3) -> Self:
        """Read the tokenizer that lies beside the weights.

        Raises
        ------
        WeightsError
            If there is none, that of another model, or a damaged one.
        """
        try:
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except UNUSABLE as error:
            raise WeightsError(
                f"The tokenizer in {folder} cannot be read: {COPY_TOKENIZER}"
            ) from error
        if len(tokenizer) != model.detector.config.text_config.vocab_size:  # empty without files
            raise WeightsError(f"{folder} lacks its tokenizer: {COPY_TOKENIZER}")
        return cls(model, tokenizer)

    def encode(self, text: str) -> TextEmbedding:
        """Encode a text, unless it is known.

        Raises
        ------
        PromptError
            If it is longer than the detector reads.
        """
        known = self._known.get(text)
        if known is None:
            known = self._encoded(text)
            self._known.put(text, known)
        return known

    def _encoded(self, text: str) -> TextEmbedding:
        self._check_length(text)
        tokens = self._tokenizer(
            text, return_tensors="pt", padding="max_length", max_length=self._length
        ).to(self._model.device)
        with self._model.autocast():
            features = self._model.detector.get_text_features(**tokens).pooler_output
        return TextEmbedding(features.float(), tokens["attention_mask"].bool())

    def _check_length(self, text: str) -> None:
        offsets = self._tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        excess = len(offsets) - self._length
        if excess > 0:
            unread = text[offsets[self._length - 1][0] :]
            raise PromptError(
                f"The text is {excess} tokens too long, the model would not read "
                f"{unread!r}: say it in fewer words."
            )


def _with_exemplars(text: TextEmbedding, concept: Concept) -> TextEmbedding:
    """Append the tokens of exemplars of any image to a text, as the detector does for boxes."""
    kinds = ((POSITIVE, concept.exemplars), (NEGATIVE, concept.negatives))
    appearances = [
        torch.from_numpy(exemplar.appearance[name]).to(text.features)
        for name, exemplars in kinds
        for exemplar in exemplars
        if isinstance(exemplar, Exemplar)
    ]
    if not appearances:
        return text
    tokens = torch.cat(appearances)[None]
    attention_mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    return TextEmbedding(
        torch.cat([text.features, tokens], dim=1),
        torch.cat([text.attention_mask, attention_mask], dim=1),
    )


def suppress_duplicates(masks: Tensor) -> list[int]:
    """Return which masks, (N, h, w) bool with the best first, non-maximum suppression keeps."""
    flat = masks.flatten(1).float()
    shared = flat @ flat.T
    areas = shared.diagonal()
    ious = shared / (areas[:, None] + areas - shared).clamp(min=1)
    kept: list[int] = []
    for n in range(len(masks)):
        if not (ious[n, kept] > DUPLICATE_IOU).any():
            kept.append(n)
    return kept


def relative_boxes(boxes: Sequence[Corners], shape: tuple[int, int]) -> Tensor:
    """Turn boxes in pixels of an image (H, W) into x, y, width, height of 0..1, (1, N, 4).

    Pixel centres are at integers in pixels, the edges of the image at 0 and 1 here.
    """
    corners = (np.array(boxes, np.float64).reshape(-1, 2, 2) + 0.5) / shape
    corners = np.sort(corners.clip(0, 1), axis=1)
    middles, sizes = corners.mean(axis=1), corners[:, 1] - corners[:, 0]
    parts = np.concatenate([middles[:, ::-1], sizes[:, ::-1]], axis=1)
    return torch.tensor(parts[None], dtype=torch.float32)


def upscaled_crop(logits: Tensor, score: float, shape: tuple[int, int]) -> Mask:
    """Upscale logits (h, w) to an image (H, W) only where they are positive, as a mask."""
    positive = logits > 0
    rows = _reachable_pixels(positive.any(dim=1), shape[0])
    cols = _reachable_pixels(positive.any(dim=0), shape[1])
    sampled = _sampled(logits, _relative_centres(rows, shape[0]), _relative_centres(cols, shape[1]))
    box = Box(rows.start, cols.start, rows.stop, cols.stop)
    return Mask(sampled > 0, box, shape, score).trimmed()


def _reachable_pixels(is_positive: Tensor, size: int) -> range:
    """Return the pixels that positive rows or columns of logits can reach, by interpolation."""
    positive = is_positive.nonzero().flatten().tolist()
    if not positive:
        return range(0)
    pixels = size / len(is_positive)
    first, last = (positive[0] - 0.5) * pixels, (positive[-1] + 1.5) * pixels
    return range(max(int(first), 0), min(math.ceil(last), size))


def _relative_centres(pixels: range, size: int) -> Tensor:
    """Return the centres of pixels, the edges of the image being at -1 and 1."""
    return (torch.arange(pixels.start, pixels.stop, dtype=torch.float32) + 0.5) * 2 / size - 1


def _sampled(logits: Tensor, rows: Tensor, cols: Tensor) -> NDArray[np.float32]:
    """Interpolate logits (h, w) at these rows and columns of -1 to 1."""
    y, x = torch.meshgrid(rows, cols, indexing="ij")
    sampled = F.grid_sample(
        logits[None, None],
        torch.stack([x, y], dim=-1)[None],
        padding_mode="border",
        align_corners=False,
    )
    return sampled[0, 0].numpy()
