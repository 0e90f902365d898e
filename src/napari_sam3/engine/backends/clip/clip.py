"""Words for models that read none: candidates are ranked by what a text says of them."""

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
from ...images.model_input import ModelInput
from ...images.stitching import tiles_of
from ...images.windows import Window
from .enhanced_phrases import EnhancedPhrases, english_remark
from .vectors import ClipVectors

if TYPE_CHECKING:
    from .model import ClipModel

TEXT_IS_WEAK = (
    "Text is the weakest prompt in microscopy (arXiv 2604.18225): a box around one example, or a "
    "click, finds more."
)
"""To be shown wherever something was found by text."""
CONCEPTS = re.compile(r"[;\n]")
REFUSAL = re.compile(r"(?:^|[,\s])\s*(?:but\s+)?(?:not|no|without|except)\s+", re.IGNORECASE)
ALTERNATIVES = re.compile(r"\s+or\s+", re.IGNORECASE)
REFUSED = re.compile(r"\s*,\s*(?:(?:and|or|not|no)\s+)?|\s+(?:and|or|nor)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Phrase:
    """The words for one kind of object, and for what it is not to be taken for."""

    wanted: tuple[str, ...]  # any of these is meant
    unwanted: tuple[str, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Understand "nucleus, not debris", or "yeast or bacterium, but not dust and bubbles".

        All that follows a "not" is unwanted. A comma before it is part of the description, as in
        "small, round nucleus".

        Raises
        ------
        PromptError
            If nothing is wanted.
        """
        said = REFUSAL.split(f" {text} ", maxsplit=1)
        wanted = _words(ALTERNATIVES.split(said[0]))
        unwanted = _words(REFUSED.split(said[1])) if len(said) > 1 else ()
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


def split(text: str) -> list[Phrase]:
    """Take apart several kinds of objects, as in "nucleus; yeast cell", each named once.

    Raises
    ------
    PromptError
        If there is none, or one of them says only what is not meant.
    """
    parts = [part for part in CONCEPTS.split(text) if part.strip()]
    return list(dict.fromkeys(Phrase.parse(part) for part in parts or [""]))


def _words(parts: list[str]) -> tuple[str, ...]:
    """Drop what is empty or said twice, and the spaces and stops around the rest."""
    cleaned = (" ".join(part.split()).strip(" ,.;:") for part in parts)
    return tuple(dict.fromkeys(word for word in cleaned if word))


SUGGESTED = 5
"""So many phrases are suggested at most."""
ENOUGH = 32
"""So many candidates tell what is meant; more are not looked at for a suggestion."""


@dataclass(frozen=True, slots=True)
class TextWeights:
    """How much the text and the model that drew a candidate have to say in its score."""

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


class Clip:
    """Ranks candidates by text, and suggests phrases for them.

    Every candidate is looked at once: another phrase costs the reading of that phrase.

    Parameters
    ----------
    model : ClipModel
        What looks and reads.
    phrases : EnhancedPhrases, optional
        What words look like; by default the user's own, read anew for every question.

    Attributes
    ----------
    weights : TextWeights
        How its opinion and that of the model that drew a candidate are mixed.
    """

    def __init__(self, model: ClipModel, phrases: EnhancedPhrases | None = None) -> None:
        self.name = model.name
        self.device = model.device
        self.is_multilingual = model.is_multilingual
        self.weights = TextWeights()
        self._model = model
        self._phrases = phrases
        self._vectors = ClipVectors(model)

    @classmethod
    def load(cls, place: str | Path, device: str = "auto") -> Self:
        """Load a text model.

        Parameters
        ----------
        place : str or Path
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

        model = ClipModel.load(local_clip_path(place), device)
        model.name = str(place) if not Path(place).exists() else model.name
        return cls(model)

    def weighing(self, weights: TextWeights) -> Self:
        """Return the same model, which mixes opinions in another way."""
        other = copy(self)
        other.weights = weights
        return other

    def check(self, phrase: Phrase) -> None:
        """Refuse a phrase that the model would not read to its end, or not understand.

        Raises
        ------
        PromptError
            With what is too long, or in which language to say it.
        """
        phrases = self._now()
        words = (*phrase.wanted, *phrase.unwanted)
        self._vectors.check(sentence for word in words for sentence in phrases.sentences(word))

    def remark(self, text: str) -> str:
        """Say where a text seems to be in a language that the model does not read, or nothing."""
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
            As the model has drawn and scored them.
        phrase : Phrase
            What is meant, and what is not.

        Raises
        ------
        PromptError
            If the model cannot read the phrase.
        """
        if not len(candidates):
            return candidates
        similar = self.similarities(image, candidates, phrase)
        return replace(candidates, scores=self.weights.mixed(similar, candidates.scores))

    def similarities(
        self, image: NDArray[np.float32], candidates: Candidates, phrase: Phrase
    ) -> NDArray[np.float64]:
        """Return the share, (N,) in 0..1, that a phrase has of all that a candidate may be.

        It stands against what is unwanted and what else there is on images, so that more than a
        half means that the phrase fits better than all of these together.
        """
        self.check(phrase)
        phrases = self._now()
        said = (*phrase.wanted, *phrase.unwanted)
        pictures = self._vectors.of_crops(image, candidates, range(len(candidates)))
        shares = self._shares(pictures, [*said, *phrases.others(said)], phrases)
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
        known = self._now()
        asked = list(known.vocabulary if phrases is None else phrases)
        if not len(positions) or not asked:
            return []
        some = positions[:: -(-len(positions) // ENOUGH)]
        pictures = self._vectors.of_crops(image, candidates, some)
        shares = self._shares(pictures, [*asked, *known.others(asked)], known).mean(axis=0)
        best = np.argsort(-shares[: len(asked)], kind="stable")[:SUGGESTED]
        return [(asked[n], float(shares[n])) for n in best]

    def _shares(
        self, pictures: NDArray[np.float32], words: Sequence[str], phrases: EnhancedPhrases
    ) -> NDArray[np.float64]:
        """Return the share of every word in pictures (N, C): (N, W), each row together 1."""
        meanings = self._vectors.of_words([phrases.sentences(word) for word in words])
        similarity = (pictures @ meanings.T).astype(np.float64) * self._model.scale
        shares = np.exp(similarity - similarity.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def _now(self) -> EnhancedPhrases:
        return EnhancedPhrases.load() if self._phrases is None else self._phrases


def ranked_on_frame(
    clip: Clip, picture: ModelInput, candidates: Candidates, phrase: Phrase
) -> Candidates:
    """Return the candidates of a frame with scores for how well a phrase fits them.

    A large frame is read tile by tile; every candidate is seen on the tile that has most around
    it.
    """
    if not len(candidates):
        return candidates
    if not picture.frames.is_large:
        return clip.ranked(picture.draw(), candidates, phrase)
    tiles, places = _tiled(picture, candidates)
    scores = candidates.scores.copy()
    for place in np.unique(places).tolist():
        own = np.flatnonzero(places == place)
        shown, part = _seen(picture, candidates.taken(own), tiles[place])
        scores[own] = clip.ranked(shown, part, phrase).scores
    return replace(candidates, scores=scores)


def suggested_on_frame(
    clip: Clip, picture: ModelInput, candidates: Candidates, positions: Sequence[int]
) -> list[tuple[str, float]]:
    """Return which phrases fit some candidates of a frame, with their shares, the best first.

    Of a large frame the tile is looked at that has most of them.
    """
    if not len(positions):
        return []
    if not picture.frames.is_large:
        return clip.suggestions(picture.draw(), candidates, positions)
    chosen = candidates.taken(positions)
    tiles, places = _tiled(picture, chosen)
    fullest = int(np.bincount(places).argmax())
    own = chosen.taken(np.flatnonzero(places == fullest))
    shown, part = _seen(picture, own, tiles[fullest])
    return clip.suggestions(shown, part, range(len(part)))


def _tiled(picture: ModelInput, candidates: Candidates) -> tuple[list[Window], NDArray[np.int64]]:
    """Cover candidates with tiles, and return for each of them, (N,), the tile to see it on."""
    first, last = candidates.boxes[:, :2].min(axis=0), candidates.boxes[:, 2:].max(axis=0)
    tiles = tiles_of(picture.frames, (*first.tolist(), *last.tolist()))
    return tiles, _places(candidates.boxes, tiles)


def _seen(
    picture: ModelInput, candidates: Candidates, tile: Window
) -> tuple[NDArray[np.float32], Candidates]:
    """Draw a tile of a frame, (h, w, 3), and its candidates."""
    return replace(picture, window=tile).draw(), _on_tile(candidates, tile)


def _places(boxes: NDArray[np.int64], tiles: list[Window]) -> NDArray[np.int64]:
    """Return for every box, (N, 4), the tile in which its middle is farthest from the sides."""
    middles = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    corners = np.array([[tile.top, tile.left] for tile in tiles])
    sizes = np.array([tile.shape for tile in tiles])
    depths = np.minimum(middles - corners, corners + sizes - middles).min(axis=2)
    return np.asarray(depths.argmax(axis=1))


def _on_tile(candidates: Candidates, tile: Window) -> Candidates:
    """Cut out of candidates of a frame what a tile of its finest level shows."""
    corner = np.array([tile.top, tile.left])
    moved = candidates.boxes - np.tile(corner, 2)
    boxes = np.clip(moved, 0, np.tile(tile.shape, 2))
    masks = tuple(
        mask[box[0] - start[0] : box[2] - start[0], box[1] - start[1] : box[3] - start[1]]
        for mask, box, start in zip(candidates.masks, boxes, moved, strict=True)
    )
    return replace(candidates, shape=tile.shape, boxes=boxes, masks=masks)
