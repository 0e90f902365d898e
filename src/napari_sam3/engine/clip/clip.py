"""Words for models that read none: candidates are ranked by what a text says of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import PromptError
from ..finding.concepts import Candidates
from .enhanced_phrases import EnhancedPhrases
from .languages import english_remark
from .phrases import Phrase
from .vectors import ClipVectors

if TYPE_CHECKING:
    from .model import ClipModel  # torch takes seconds to import

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
        from .model import ClipModel  # torch takes seconds to import
        from .places import clip_place

        model = ClipModel.load(clip_place(place), device)
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
        pictures = self._vectors.of_pictures(image, candidates, range(len(candidates)))
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
        pictures = self._vectors.of_pictures(image, candidates, some)
        shares = self._shares(pictures, [*asked, *known.others(asked)], known).mean(axis=0)
        best = np.argsort(-shares[: len(asked)], kind="stable")[:SUGGESTED]
        return [(asked[n], float(shares[n])) for n in best]

    def _shares(
        self, pictures: NDArray[np.float32], words: Sequence[str], phrases: EnhancedPhrases
    ) -> NDArray[np.float64]:
        """Return the share of every word in pictures (N, C): (N, W), each row together 1."""
        meanings = self._vectors.of_words([phrases.sentences(word) for word in words])
        likeness = (pictures @ meanings.T).astype(np.float64) * self._model.scale
        shares = np.exp(likeness - likeness.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def _now(self) -> EnhancedPhrases:
        return EnhancedPhrases.load() if self._phrases is None else self._phrases
