"""Finding all objects on an image that a text or exemplars describe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
    Candidates,
    Concept,
    Corners,
    Exemplar,
    PromptError,
    WeightsError,
    boxes_of,
)
from ...bounded_cache import BoundedCache
from .loading import UNUSABLE
from .sam3_model import Sam3, Sam3Embedding

PHRASE_BYTES = 2**22
"""What phrases may occupy that were read before: some hundred of them."""
COPY = "copy tokenizer.json and tokenizer_config.json of the checkpoint into it."


@dataclass(frozen=True, slots=True, eq=False)
class Phrase:
    """A text as the detector sees it, filled up to the length it reads."""

    features: Tensor  # (1, L, C)
    has_text: Tensor  # (1, L) bool, False where it is filled up

    @property
    def nbytes(self) -> int:
        """Bytes it occupies."""
        return self.features.nbytes + self.has_text.nbytes


class Texts:
    """Reads texts, each of them once."""

    def __init__(self, model: Sam3, tokenizer: CLIPTokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._length: int = model.detector.config.text_config.max_position_embeddings
        self._known: BoundedCache[str, Phrase] = BoundedCache(PHRASE_BYTES)

    @classmethod
    def load(cls, folder: Path, model: Sam3) -> Self:
        """Read the tokenizer that lies beside the weights.

        Raises
        ------
        WeightsError
            If there is none, another one, or a damaged one.
        """
        try:
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except UNUSABLE as error:
            raise WeightsError(f"The tokenizer in {folder} cannot be read: {COPY}") from error
        if len(tokenizer) != model.detector.config.text_config.vocab_size:  # empty without files
            raise WeightsError(f"{folder} lacks its tokenizer: {COPY}")
        return cls(model, tokenizer)

    def read(self, text: str) -> Phrase:
        """Return a text as the detector sees it.

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

    def _encoded(self, text: str) -> Phrase:
        self._check_length(text)
        said = self._tokenizer(
            text, return_tensors="pt", padding="max_length", max_length=self._length
        ).to(self._model.device)
        with self._model.calculating():
            features = self._model.detector.get_text_features(**said).pooler_output
        return Phrase(features.float(), said["attention_mask"].bool())

    def _check_length(self, text: str) -> None:
        places = self._tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        excess = len(places) - self._length
        if excess > 0:
            unread = text[places[self._length - 1][0] :]
            raise PromptError(
                f"The text is {excess} tokens too long, the model would not read "
                f"{unread!r}: say it in fewer words."
            )


MEANT, NOT_MEANT = "meant", "not meant"
"""Names of what is kept of an exemplar."""

NO_TEXT = "visual"
"""What the detector was taught to read where exemplars say it all."""

LOWEST_SCORE = 0.05
"""Candidates of less are not kept; a threshold above it can be moved afterwards."""

USEFUL = 0.1
"""A query that answers with less than this is free: it has found nothing."""

FULL = 0.95
"""Where a larger share of all queries has found something, objects may be left over."""

SAME = 0.5
"""Masks with a larger intersection over union are the same object."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What the detector says about all its candidates, good ones and bad ones."""

    logits: Tensor  # (N, h, w) float32 of their masks, on the square that the model sees
    scores: Tensor  # (N,) float32 in 0..1

    @property
    def is_saturated(self) -> bool:
        """Whether there were hardly enough queries for all objects."""
        return bool((self.scores >= USEFUL).float().mean() > FULL)

    def best(self) -> Detections:
        """Return those worth keeping, the best first."""
        order = self.scores.argsort(descending=True, stable=True)
        order = order[self.scores[order] >= LOWEST_SCORE]
        return Detections(self.logits[order].cpu(), self.scores[order].cpu())


class Detector:
    """Asks the detector of SAM 3 about images that are embedded."""

    def __init__(self, model: Sam3, texts: Texts) -> None:
        self._model = model
        self._texts = texts

    def find(self, embedding: Sam3Embedding, concept: Concept) -> Candidates:
        """Find all objects of an image that are meant."""
        every = self.detect(embedding, concept)
        best = every.best()
        masks = best.logits > 0
        crops = {n: Crop.drawn(best.logits[n], embedding.shape) for n in distinct(masks)}
        kept = [n for n, crop in crops.items() if crop.mask.any()]
        return Candidates(
            embedding.shape,
            np.array([crops[n].box for n in kept], np.int64).reshape(-1, 4),
            tuple(crops[n].mask for n in kept),
            best.scores[kept].numpy().astype(np.float64),
            is_saturated=every.is_saturated,
        )

    def appearance(self, embedding: Sam3Embedding, box: Corners) -> Appearance:
        """Return the tokens, (2, C) each, by which the detector knows what is in a box.

        They are those of a box that is meant, and of one that is not.
        """
        tokens = [self._tokens(embedding, box, sign)[0] for sign in (1, 0)]
        return {
            name: token.cpu().float().numpy()
            for name, token in zip((MEANT, NOT_MEANT), tokens, strict=True)
        }

    def detect(self, embedding: Sam3Embedding, concept: Concept) -> Detections:
        """Return all that the detector considers."""
        phrase = self._texts.read((concept.text or "").strip() or NO_TEXT)
        said, has_text = self._with_exemplars(phrase, concept)
        meant, others = map(boxes_of, (concept.exemplars, concept.negatives))
        boxes = relative_boxes([*meant, *others], embedding.shape).to(self._model.device)
        signs = torch.tensor([[1] * len(meant) + [0] * len(others)], device=self._model.device)
        answer = self._model.detector(
            vision_embeds=self._model.features(embedding),
            text_embeds=BaseModelOutputWithPooling(pooler_output=said),
            attention_mask=has_text,
            input_boxes=boxes if concept.boxes else None,
            input_boxes_labels=signs if concept.boxes else None,
        )
        scores = answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid()
        return Detections(answer.pred_masks[0], scores[0])

    def _with_exemplars(self, phrase: Phrase, concept: Concept) -> tuple[Tensor, Tensor]:
        """Say after a phrase what is known of exemplars, as the detector says it of boxes."""
        kinds = ((MEANT, concept.exemplars), (NOT_MEANT, concept.negatives))
        shown = [
            torch.from_numpy(one.appearance[name]).to(phrase.features)
            for name, kind in kinds
            for one in kind
            if isinstance(one, Exemplar)
        ]
        if not shown:
            return phrase.features, phrase.has_text
        tokens = torch.cat(shown)[None]
        are_said = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        features = torch.cat([phrase.features, tokens], dim=1)
        return features, torch.cat([phrase.has_text, are_said], dim=1)

    def _tokens(self, embedding: Sam3Embedding, box: Corners, sign: int) -> Tensor:
        """Encode a box on an image, (1, 2, C): the box itself, and a summary."""
        seen, device = self._model.features(embedding), self._model.device
        answer = self._model.detector.geometry_encoder(
            box_embeddings=relative_boxes([box], embedding.shape).to(device),
            box_mask=torch.ones(1, 1, dtype=torch.bool, device=device),
            box_labels=torch.tensor([[sign]], device=device),
            img_feats=seen.fpn_hidden_states[:-1],
            img_pos_embeds=seen.fpn_position_encoding[:-1],
        )
        tokens: Tensor = answer.last_hidden_state
        return tokens


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """The mask of one object, and where on the image it lies."""

    box: tuple[int, int, int, int]  # first row, first col, last row + 1, last col + 1
    mask: NDArray[np.bool_]  # of the size of the box

    @classmethod
    def drawn(cls, logits: Tensor, shape: tuple[int, int]) -> Crop:
        """Draw logits (h, w) of a whole image (H, W) where they are positive, and only there."""
        inside = logits > 0
        rows = _reach(inside.any(dim=1), shape[0])
        cols = _reach(inside.any(dim=0), shape[1])
        mask = _sampled(logits, _relative(rows, shape[0]), _relative(cols, shape[1])) > 0
        if not mask.any():
            return cls((0, 0, 0, 0), np.zeros((0, 0), bool))
        (top, bottom), (left, right) = _extent(mask, 1), _extent(mask, 0)
        box = (rows.start + top, cols.start + left, rows.start + bottom, cols.start + right)
        return cls(box, mask[top:bottom, left:right].copy())


def distinct(masks: Tensor) -> list[int]:
    """Return which masks, (N, h, w) bool with the best first, no better one repeats."""
    flat = masks.flatten(1).float()
    shared = flat @ flat.T
    areas = shared.diagonal()
    similarity = shared / (areas[:, None] + areas - shared).clamp(min=1)
    kept: list[int] = []
    for n in range(len(masks)):
        if not (similarity[n, kept] > SAME).any():
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


def _reach(is_inside: Tensor, size: int) -> range:
    """Return the pixels that the cells of a coarse row or column can reach, by interpolation."""
    cells = is_inside.nonzero().flatten().tolist()
    if not cells:
        return range(0)
    pixels = size / len(is_inside)
    first, last = (cells[0] - 0.5) * pixels, (cells[-1] + 1.5) * pixels
    return range(max(int(first), 0), min(math.ceil(last), size))


def _relative(pixels: range, size: int) -> Tensor:
    """Return the centres of pixels, the edges of the image being at -1 and 1."""
    return (torch.arange(pixels.start, pixels.stop, dtype=torch.float32) + 0.5) * 2 / size - 1


def _sampled(logits: Tensor, rows: Tensor, cols: Tensor) -> NDArray[np.float32]:
    """Interpolate logits (h, w) at these places of -1 to 1."""
    y, x = torch.meshgrid(rows, cols, indexing="ij")
    sampled = F.grid_sample(
        logits[None, None],
        torch.stack([x, y], dim=-1)[None],
        padding_mode="border",
        align_corners=False,
    )
    return sampled[0, 0].numpy()


def _extent(mask: NDArray[np.bool_], across: int) -> tuple[int, int]:
    """Return the first row (across axis 1) or column (across 0) of a mask, and the last + 1."""
    places = np.flatnonzero(mask.any(across))
    return int(places[0]), int(places[-1]) + 1
