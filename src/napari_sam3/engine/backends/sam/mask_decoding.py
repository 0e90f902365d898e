"""Answering prompts: many objects are one pass through the mask decoder."""

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
from .preprocessing import Maps, Scaling

SURE = 10.0
"""The logit of a pixel that an outline encloses, and the negative one of all others."""


@dataclass(frozen=True, slots=True, eq=False)
class DecoderQuery:
    """Prompts for one object, on the square of a model."""

    points: NDArray[np.float32]  # (N, 2) as (x, y) in pixels of the square
    labels: NDArray[np.int32]  # (N,), 1 inside of the object, 0 outside
    box: NDArray[np.float32] | None  # (4,) as (x, y, x, y) of the first and the last corner
    drawn: Tensor | None  # (h, w) logits of what is known of its mask, as large as an answer

    @classmethod
    def of(cls, prompts: Prompts, previous: Prediction | None, scaling: Scaling, side: int) -> Self:
        """Ask what prompts ask.

        What was answered before is corrected. An outline is given together with its box, since
        the models have learned to see masks only beside other prompts. Several boxes are one
        that holds them all. ``side`` is that of the answers' logits.
        """
        before = _preferred(previous)
        extent = _extent(prompts)
        if before is None and prompts.mask is not None:
            before = outline_logits(prompts.mask, scaling, side)
        return cls(
            scaling.points(prompts.points),
            prompts.positive.astype(np.int32),
            None if extent is None else scaling.points(extent).reshape(4),
            before,
        )

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is a single click, which may mean an object or a part of it."""
        return len(self.points) == 1 and self.box is None and self.drawn is None

    @property
    def kind(self) -> Hashable:
        """What questions have in common that are answered in one pass.

        A shorter question is not filled up to the length of a longer one: the models take notice
        of the filling, and an answer would depend on what else is asked.
        """
        return len(self.points), self.box is None, self.is_ambiguous


def outline_logits(mask: NDArray[np.bool_], scaling: Scaling, side: int) -> Tensor:
    """Shrink or enlarge a mask (H, W) to logits (side, side)."""
    rows, cols = scaling.filled(side)
    shares = F.interpolate(
        torch.from_numpy(mask.astype(np.float32))[None, None],
        size=(rows, cols),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    padded = F.pad(shares[0, 0], (0, side - cols, 0, side - rows))
    return padded * (2 * SURE) - SURE


def _extent(prompts: Prompts) -> NDArray[np.float64] | None:
    """Return the two corners, (2, 2), that hold all boxes, or else the outline."""
    if len(prompts.boxes):
        return np.stack([prompts.boxes[:, :2].min(0), prompts.boxes[:, 2:].max(0)])
    return None if prompts.mask is None else _corners(prompts.mask)


def _preferred(previous: Prediction | None) -> Tensor | None:
    """Return the logits of the reading that is first by now, whichever was best."""
    if previous is None or not previous.memory:
        return None
    logits: Tensor = previous.memory[previous.hypotheses[0].name]
    return logits


def _corners(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the (row, col) of the first and the last pixel, (2, 2), of a mask (H, W)."""
    top, left, bottom, right = Box.around(mask)
    return np.array([[top, left], [bottom - 1, right - 1]], np.float64)


def draw(logits: Tensor, scaling: Scaling) -> NDArray[np.bool_]:
    """Draw where logits (h, w) of the square are positive on the image, (H, W)."""
    if scaling.size != (scaling.side, scaling.side):
        logits = _enlarged(logits, (scaling.side, scaling.side))
        logits = logits[: scaling.size[0], : scaling.size[1]]
    return (_enlarged(logits, scaling.shape) > 0).cpu().numpy()


def draw_hypotheses(
    logits: Tensor, scores: Sequence[float], scaling: Scaling
) -> tuple[tuple[Mask, ...], dict[HypothesisName, Tensor]]:
    """Draw logits (K, h, w) one by one; return the readings, and the logits of each by name.

    Of a reading only the pixels around it are kept.
    """
    masks = [draw(one, scaling) for one in logits]
    hypotheses = named_hypotheses(
        [Mask.of(mask, float(score)) for mask, score in zip(masks, scores, strict=True)]
    )
    drawn = {id(mask): one for mask, one in zip(masks, logits, strict=True)}
    known = {
        # a copy, so that one answer does not keep those that were decoded together with it
        hypothesis.name: drawn[id(hypothesis.crop)].to("cpu", copy=True)
        for hypothesis in hypotheses
    }
    return tuple(mask.trimmed() for mask in hypotheses), known


def _enlarged(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge or shrink one map, (h, w)."""
    return F.interpolate(logits[None, None].float(), size, mode="bilinear", align_corners=False)[
        0, 0
    ]


@dataclass(frozen=True, slots=True, eq=False)
class DecoderOutput:
    """What a mask decoder says about one object: one mask, or three if it is ambiguous."""

    logits: Tensor  # (K, h, w) float32
    scores: Tensor  # (K,) float32, predicted intersection over union, 0..1
    presence: float = 1.0  # how sure it is that the object is on the image, 0..1


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One image, as a mask decoder sees it."""

    ask: Callable[
        [Sequence[DecoderQuery]], Sequence[DecoderOutput]
    ]  # questions of one kind, in one pass
    scaling: Scaling
    mask_side: int  # of the logits
    micro_batches: MicroBatches

    def segment(
        self, prompts: Sequence[Prompts], previous: Sequence[Prediction | None]
    ) -> list[Prediction]:
        """Answer the prompts of several objects; see `Backend.segment`."""
        questions = [self.question(*said) for said in zip(prompts, previous, strict=True)]
        return [self._answer(guess) for guess in self.guess(questions)]

    def question(self, prompts: Prompts, previous: Prediction | None) -> DecoderQuery:
        """Ask what prompts ask, beginning with what was answered before."""
        return DecoderQuery.of(prompts, previous, self.scaling, self.mask_side)

    def guess(self, questions: Sequence[DecoderQuery]) -> list[DecoderOutput]:
        """Answer questions of all kinds, those of one kind together."""
        return self.micro_batches.run(self.ask, questions, attrgetter("kind"))

    def _answer(self, guess: DecoderOutput) -> Prediction:
        """Draw a guess; the answer remembers the logits of its readings by name."""
        hypotheses, logits = draw_hypotheses(guess.logits, guess.scores.tolist(), self.scaling)
        return Prediction(hypotheses, guess.presence, logits)


NO_CLICK = -1
"""The label of a click that says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What is said about N objects, with T tokens each."""

    clicks: Tensor  # (N, 1, T, C) clicks and corners of boxes
    masks: Tensor  # (N, C, g, g) what is known of each mask
    is_ambiguous: bool  # whether several masks are wanted of each object


class PromptEncoder:
    """Encodes questions in float32: in half precision, clicks would be pixels beside their place.

    Parameters
    ----------
    encoder : Module
        The prompt encoder of any model of the SAM family. It becomes float32.
    dtype, device
        Of what comes out.
    """

    def __init__(self, encoder: Any, dtype: torch.dtype, device: torch.device) -> None:
        self._encoder = encoder.float()
        self._dtype = dtype
        self._device = device
        self.mask_side = 4 * int(encoder.image_embedding_size[0])  # of the decoder's masks

    def encode(self, questions: Sequence[DecoderQuery]) -> Encoded:
        """Encode questions of one kind."""
        first = questions[0]
        points = labels = boxes = None
        if len(first.points):
            points = self._stacked([one.points for one in questions])
            labels = self._stacked([one.labels for one in questions])
        if first.box is not None:
            boxes = self._stacked([one.box for one in questions if one.box is not None])
        clicks, nothing = self._encoder(points, labels, boxes, None)
        masks = self._masks([one.drawn for one in questions], nothing)
        return self._encoded(clicks, masks, first.is_ambiguous)

    def encode_nothing(self, count: int) -> Encoded:
        """Encode that nothing is said about so many objects."""
        points = torch.zeros(count, 1, 1, 2, device=self._device)
        labels = torch.full((count, 1, 1), NO_CLICK, device=self._device)
        clicks, masks = self._encoder(points, labels, None, None)
        return self._encoded(clicks, masks, True)

    def encode_masks(self, drawn: Tensor) -> Encoded:
        """Encode nothing but the logits of masks, (N, 1, h, w)."""
        masks = self._encoder.mask_embed(drawn.float()).to(self._dtype)
        return replace(self.encode_nothing(len(drawn)), masks=masks)

    def _masks(self, drawn: Sequence[Tensor | None], nothing: Tensor) -> Tensor:
        masks = nothing.expand(len(drawn), -1, -1, -1).clone()
        known = [index for index, one in enumerate(drawn) if one is not None]
        if known:
            stacked = torch.stack([one for one in drawn if one is not None])[:, None]
            masks[known] = self._encoder.mask_embed(stacked.to(self._device, torch.float32))
        return masks

    def _encoded(self, clicks: Tensor, masks: Tensor, is_ambiguous: bool) -> Encoded:
        return Encoded(clicks.to(self._dtype), masks.to(self._dtype), is_ambiguous)

    def _stacked(self, arrays: Sequence[NDArray[np.generic]]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)[:, None]).to(self._device)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What comes out of the mask decoder for N objects, K masks of each."""

    logits: Tensor  # (N, K, h, w) float32
    scores: Tensor  # (N, K) float32, predicted intersection over union, 0..1
    tokens: Tensor  # (N, K, C) what the decoder knows of each mask
    presence: Tensor  # (N,) float32 logits

    def guesses(self) -> list[DecoderOutput]:
        """Return what is said about each object."""
        presence = torch.sigmoid(self.presence).tolist()
        return [DecoderOutput(*one) for one in zip(self.logits, self.scores, presence, strict=True)]


class PromptDecoder:
    """Answers prompts with the prompt encoder and the mask decoder of SAM 2, SAM 3 or EdgeTAM.

    A single click may mean a whole, a part or a part of that, and gets three masks. All else gets
    the one mask that the model has for clear prompts.

    Parameters
    ----------
    tracker : Module
        The model, or that part of it which has the prompt encoder and the mask decoder.
    side : int
        Of the square that the model sees, in pixels.
    dtype, device
        Of the mask decoder.
    """

    def __init__(
        self, tracker: Any, side: int, dtype: torch.dtype, device: str | torch.device
    ) -> None:
        self._decoder = tracker.mask_decoder
        self._no_memory = tracker.no_memory_embedding.view(1, -1, 1, 1)
        self._places = positional_encoding(tracker).to(dtype)
        self.side = side
        self.encoder = PromptEncoder(tracker.prompt_encoder, dtype, torch.device(device))
        self.micro_batches = MicroBatches()

    def segment(
        self, maps: Maps, prompts: Sequence[Prompts], previous: Sequence[Prediction | None]
    ) -> list[Prediction]:
        """Answer the prompts of several objects of one image; see `Backend.segment`."""
        return self.view(maps).segment(prompts, previous)

    def view(self, maps: Maps) -> View:
        """Look at one image."""
        scaling = Scaling.resized(maps.shape, self.side)
        return View(partial(self._ask, maps), scaling, self.encoder.mask_side, self.micro_batches)

    def decode(self, maps: Maps, coarse: Tensor, said: Encoded) -> Decoded:
        """Decode what is said about N objects, each on its own coarse map, (N, C, g, g)."""
        logits, scores, tokens, presence = self._decoder(
            image_embeddings=coarse,
            image_positional_embeddings=self._places,
            sparse_prompt_embeddings=said.clicks,
            dense_prompt_embeddings=said.masks,
            multimask_output=said.is_ambiguous,
            high_resolution_features=[maps.fine, maps.middle],
        )
        return Decoded(
            logits[:, 0].float(),
            scores[:, 0].float().clamp(0, 1),
            tokens[:, 0],
            presence.flatten().float(),
        )

    def _ask(self, maps: Maps, questions: Sequence[DecoderQuery]) -> list[DecoderOutput]:
        """Answer questions of one kind in one pass, without memory of other images."""
        coarse = (maps.coarse + self._no_memory).expand(len(questions), -1, -1, -1)
        return self.decode(maps, coarse, self.encoder.encode(questions)).guesses()


def positional_encoding(model: Any) -> Tensor:
    """Encode the places of the coarse map, (1, C, g, g), as precisely as those of clicks."""
    model.shared_image_embedding.float()
    places: Tensor = model.get_image_wide_positional_embeddings()
    return places
