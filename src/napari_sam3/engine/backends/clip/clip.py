"""Texts for models that read none: candidates are ranked by how well a phrase describes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from ....values import Candidates, PromptError
from ...images.frames import Window
from ...images.model_input import ModelInput
from ...images.tiling import tiles_of
from .embeddings import ClipEmbeddings
from .enhanced_phrases import EnhancedPhrases, english_remark

if TYPE_CHECKING:
    from .model import ClipModel

TEXT_IS_WEAK = (
    "Text is the weakest prompt in microscopy (arXiv 2604.18225): a box around one example, or a "
    "click, finds more."
)
"""To be shown wherever something was found by text."""
SUGGESTIONS = 5
"""So many phrases are suggested at most."""
SUGGESTED_FROM = 32
"""So many candidates are encoded at most for a suggestion."""


class Clip:
    """Ranks candidates by text, and suggests phrases for them.

    Every candidate is encoded once: another phrase costs only the encoding of that phrase.

    Parameters
    ----------
    model : ClipModel
        Encodes crops and texts.
    phrases : EnhancedPhrases, optional
        Descriptions of words; by default those that the user can edit, read anew for every phrase.

    Attributes
    ----------
    weights : TextWeights
        How its scores and those of the model that segmented a candidate are mixed.
    """

    def __init__(self, model: ClipModel, phrases: EnhancedPhrases | None = None) -> None:
        self.name = model.name
        self.device = model.device
        self.is_multilingual = model.is_multilingual
        self.weights = TextWeights()
        self._model = model
        self._phrases = phrases
        self._embeddings = ClipEmbeddings(model)

    @classmethod
    def load(cls, model: str | Path, device: str = "auto") -> Self:
        """Load a text model.

        Parameters
        ----------
        model : str or Path
            A folder, or the name of a model on the Hugging Face hub that was downloaded before.
        device : str
            "auto", "cpu", "cuda" or "mps".

        Raises
        ------
        ModelError
            If the model is not on this computer, or there is no such device.
        WeightsError
            If its files cannot be used.
        """
        from ...weights.local_models import local_clip_path
        from .model import ClipModel  # torch takes seconds to import

        loaded = ClipModel.load(local_clip_path(model), device)
        loaded.name = str(model) if not Path(model).exists() else loaded.name
        return cls(loaded)

    def weighing(self, weights: TextWeights) -> Self:
        """Return the same model, which mixes scores in another way."""
        clip = copy(self)
        clip.weights = weights
        return clip

    def check(self, phrase: Phrase) -> None:
        """Refuse a phrase that the model would not read to its end, or not understand.

        Raises
        ------
        PromptError
            With what is too long, or in which language to write it.
        """
        phrases = self._current_phrases()
        words = (*phrase.wanted, *phrase.unwanted)
        self._embeddings.check(sentence for word in words for sentence in phrases.sentences(word))

    def remark(self, text: str) -> str:
        """Return a remark where a text seems to be in a language that is not read, or nothing."""
        return "" if self.is_multilingual else english_remark(text, self.name)

    def ranked(
        self, image: NDArray[np.float32], candidates: Candidates, phrase: Phrase
    ) -> Candidates:
        """Return candidates with scores for how well a phrase fits them.

        Parameters
        ----------
        image : array of shape (H, W, 3)
            In 0..1, as the user sees it.
        candidates : Candidates
            As the model has segmented and scored them.
        phrase : Phrase
            What is meant, and what is not.

        Raises
        ------
        PromptError
            If the model cannot read the phrase.
        """
        if not len(candidates):
            return candidates
        similarities = self.similarities(image, candidates, phrase)
        return replace(candidates, scores=self.weights.mixed(similarities, candidates.scores))

    def similarities(
        self, image: NDArray[np.float32], candidates: Candidates, phrase: Phrase
    ) -> NDArray[np.float64]:
        """Return the share, (N,) in 0..1, that a phrase has of all that a candidate may be.

        It stands against what is unwanted and what else there is on images, so that more than a
        half means that the phrase fits better than all of these together.
        """
        self.check(phrase)
        phrases = self._current_phrases()
        words = (*phrase.wanted, *phrase.unwanted)
        crops = self._embeddings.of_crops(image, candidates, range(len(candidates)))
        shares = self._shares(crops, [*words, *phrases.distractors(words)], phrases)
        return shares[:, : len(phrase.wanted)].sum(axis=1)

    def suggestions(
        self,
        image: NDArray[np.float32],
        candidates: Candidates,
        positions: Sequence[int],
        phrases: Sequence[str] | None = None,
    ) -> list[tuple[str, float]]:
        """Return which phrases fit some candidates, with their shares in 0..1, the best first.

        Parameters
        ----------
        image : array of shape (H, W, 3)
            In 0..1, as the user sees it.
        candidates : Candidates
            All of the image.
        positions : sequence of int
            Those that are accepted.
        phrases : sequence of str, optional
            What may be suggested; by default the words of the dictionary.
        """
        current = self._current_phrases()
        words = list(current.vocabulary if phrases is None else phrases)
        if not len(positions) or not words:
            return []
        sample = positions[:: -(-len(positions) // SUGGESTED_FROM)]
        crops = self._embeddings.of_crops(image, candidates, sample)
        shares = self._shares(crops, [*words, *current.distractors(words)], current).mean(axis=0)
        best = np.argsort(-shares[: len(words)], kind="stable")[:SUGGESTIONS]
        return [(words[n], float(shares[n])) for n in best]

    def _shares(
        self, crops: NDArray[np.float32], words: Sequence[str], phrases: EnhancedPhrases
    ) -> NDArray[np.float64]:
        """Return the share of every word in the embeddings of crops (N, C): (N, W), rows sum to 1.

        It is the softmax of the scaled cosine similarities.
        """
        texts = self._embeddings.of_words([phrases.sentences(word) for word in words])
        similarity = (crops @ texts.T).astype(np.float64) * self._model.scale
        shares = np.exp(similarity - similarity.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def _current_phrases(self) -> EnhancedPhrases:
        return EnhancedPhrases.load() if self._phrases is None else self._phrases


@dataclass(frozen=True, slots=True)
class TextWeights:
    """How much the text, and the model that segmented a candidate, count in its score."""

    similarity: float = 0.6  # to the phrase
    predicted: float = 0.4  # intersection over union, as the model predicts it

    def __post_init__(self) -> None:
        if min(self.similarity, self.predicted) < 0 or self.similarity + self.predicted <= 0:
            raise PromptError("The weights of text and model must not be negative, nor both zero.")

    def mixed(
        self, similarities: NDArray[np.float64], predicted: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return scores, (N,) in 0..1."""
        total = self.similarity + self.predicted
        return (self.similarity * similarities + self.predicted * predicted) / total


SEPARATOR = re.compile(r"[;\n]")
NEGATION = re.compile(r"(?:^|[,\s])\s*(?:but\s+)?(?:not|no|without|except)\s+", re.IGNORECASE)
WANTED_SEPARATOR = re.compile(r"\s+or\s+", re.IGNORECASE)
UNWANTED_SEPARATOR = re.compile(
    r"\s*,\s*(?:(?:and|or|not|no)\s+)?|\s+(?:and|or|nor)\s+", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """The words for one kind of object, and for what it is not to be taken for."""

    wanted: tuple[str, ...]  # any of these is meant
    unwanted: tuple[str, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse "nucleus, not debris", or "yeast or bacterium, but not dust and bubbles".

        All that stands behind a "not" is unwanted. A comma before it is part of the description,
        as in "small, round nucleus".

        Raises
        ------
        PromptError
            If nothing is wanted.
        """
        parts = NEGATION.split(f" {text} ", maxsplit=1)
        wanted = _cleaned(WANTED_SEPARATOR.split(parts[0]))
        unwanted = _cleaned(UNWANTED_SEPARATOR.split(parts[1])) if len(parts) > 1 else ()
        if wanted:
            return cls(wanted, unwanted)
        if unwanted:
            raise PromptError(
                f"{text.strip()!r} says only what is not meant: write first what is, as in "
                '"nucleus, not debris".'
            )
        raise PromptError('Nothing says what to find: type a text, such as "nucleus".')

    def __str__(self) -> str:
        """Return what would be typed for it."""
        wanted = " or ".join(self.wanted)
        return f"{wanted}, not {' or '.join(self.unwanted)}" if self.unwanted else wanted


def split_phrases(text: str) -> list[Phrase]:
    """Split the phrases for several kinds of objects, as in "nucleus; yeast cell".

    Each is returned once.

    Raises
    ------
    PromptError
        If there is none, or one of them says only what is not meant.
    """
    parts = [part for part in SEPARATOR.split(text) if part.strip()]
    return list(dict.fromkeys(Phrase.parse(part) for part in parts or [""]))


def _cleaned(words: list[str]) -> tuple[str, ...]:
    """Drop words that are empty or repeated, and the spaces and stops around the rest."""
    stripped = (" ".join(word.split()).strip(" ,.;:") for word in words)
    return tuple(dict.fromkeys(word for word in stripped if word))


def ranked_on_frame(
    clip: Clip, model_input: ModelInput, candidates: Candidates, phrase: Phrase
) -> Candidates:
    """Return the candidates of a frame with scores for how well a phrase fits them.

    A large frame is read tile by tile; every candidate is encoded on the tile that has most around
    it.
    """
    if not len(candidates):
        return candidates
    if not model_input.frames.is_large:
        return clip.ranked(model_input.draw(), candidates, phrase)
    tiles, tile_of = _assigned_tiles(model_input, candidates)
    scores = candidates.scores.copy()
    for number in np.unique(tile_of).tolist():
        on_tile = np.flatnonzero(tile_of == number)
        image, crops = _on_tile(model_input, candidates.taken(on_tile), tiles[number])
        scores[on_tile] = clip.ranked(image, crops, phrase).scores
    return replace(candidates, scores=scores)


def suggested_on_frame(
    clip: Clip, model_input: ModelInput, candidates: Candidates, positions: Sequence[int]
) -> list[tuple[str, float]]:
    """Return which phrases fit some candidates of a frame, with their shares, the best first.

    Of a large frame only the tile that has most of them is read.
    """
    if not len(positions):
        return []
    if not model_input.frames.is_large:
        return clip.suggestions(model_input.draw(), candidates, positions)
    accepted = candidates.taken(positions)
    tiles, tile_of = _assigned_tiles(model_input, accepted)
    fullest = int(np.bincount(tile_of).argmax())
    on_tile = accepted.taken(np.flatnonzero(tile_of == fullest))
    image, crops = _on_tile(model_input, on_tile, tiles[fullest])
    return clip.suggestions(image, crops, range(len(crops)))


def _assigned_tiles(
    model_input: ModelInput, candidates: Candidates
) -> tuple[list[Window], NDArray[np.int64]]:
    """Return tiles around candidates, and for each of these, (N,), the number of its tile.

    It is the tile in which the middle of the candidate is farthest from the sides.
    """
    first, last = candidates.boxes[:, :2].min(axis=0), candidates.boxes[:, 2:].max(axis=0)
    tiles = tiles_of(model_input.frames, (*first.tolist(), *last.tolist()))
    middles = (candidates.boxes[:, None, :2] + candidates.boxes[:, None, 2:]) / 2
    corners = np.array([[tile.top, tile.left] for tile in tiles])
    sizes = np.array([tile.shape for tile in tiles])
    depths = np.minimum(middles - corners, corners + sizes - middles).min(axis=2)
    return tiles, np.asarray(depths.argmax(axis=1))


def _on_tile(
    model_input: ModelInput, candidates: Candidates, tile: Window
) -> tuple[NDArray[np.float32], Candidates]:
    """Draw a tile of a frame, (h, w, 3), and crop the candidates of the frame to it."""
    corner = np.array([tile.top, tile.left])
    shifted = candidates.boxes - np.tile(corner, 2)
    boxes = np.clip(shifted, 0, np.tile(tile.shape, 2))
    masks = tuple(
        mask[box[0] - start[0] : box[2] - start[0], box[1] - start[1] : box[3] - start[1]]
        for mask, box, start in zip(candidates.masks, boxes, shifted, strict=True)
    )
    image = replace(model_input, window=tile).draw()
    return image, replace(candidates, shape=tile.shape, boxes=boxes, masks=masks)
