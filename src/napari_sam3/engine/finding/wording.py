"""Finding what a phrase means, in the words of a model or in those of a text model beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..backend import Backend, Embedding, reads_no_text
from ..clip.clip import Clip
from ..clip.frames import ranked_on_frame
from ..clip.languages import check_english, is_foreign
from ..clip.phrases import Phrase
from ..errors import ModelError
from ..images.picture import Picture
from ..images.seam_pieces import collected, meetings
from ..images.seams import ALIKE, merged
from ..images.windows import Window
from .concepts import Candidates, Concept


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """A concept, and who reads its words."""

    concept: Concept
    backend: Backend
    clip: Clip | None = None  # ranks what a backend without words finds, or once more what it found

    @property
    def phrase(self) -> Phrase:
        """What its text says."""
        return Phrase.parse(self.concept.text or "")

    def check(self) -> None:
        """Refuse a text that nobody here reads, not to its end, or not in its language.

        Raises
        ------
        ModelError
            If there is no text model and the backend reads no words.
        PromptError
            If the text cannot be understood.
        """
        if not self.concept.has_text:
            return
        phrase = self.phrase
        if self.clip is not None:
            self.clip.check(phrase)
        elif not self.backend.reads_text:
            raise reads_no_text(self.backend.name)
        else:
            check_english(str(phrase), self.backend.name)

    def search(self, embedding: Embedding) -> Candidates:
        """Find all on one picture that may be meant."""
        if not self.concept.has_text:
            return self.backend.find(embedding, self.concept)
        if self._is_read_by_backend:
            return self._found_by_words(embedding)
        shown = replace(self.concept, text=None)
        if shown.is_empty:
            return self.backend.everything(embedding)
        return self.backend.find(embedding, shown)

    def ranked(self, picture: Picture, found: Candidates) -> Candidates:
        """Let the text model, if there is one, say how well what was found fits the text."""
        if self.clip is None or not self.concept.has_text:
            return found
        return ranked_on_frame(self.clip, picture, found, self.phrase)

    @property
    def _is_read_by_backend(self) -> bool:
        if self.clip is None or not self.clip.is_multilingual:
            return self.backend.reads_text
        return self.backend.reads_text and not is_foreign(self.concept.text or "")

    def _found_by_words(self, embedding: Embedding) -> Candidates:
        phrase = self.phrase
        wanted = [
            self.backend.find(embedding, replace(self.concept, text=word)) for word in phrase.wanted
        ]
        found = wanted[0] if len(wanted) == 1 else merged(_whole(wanted), wanted[0].shape)
        for word in phrase.unwanted:
            found = doubted(found, self.backend.find(embedding, Concept(word)))
        return found


def doubted(found: Candidates, unwanted: Candidates) -> Candidates:
    """Lower the scores of candidates that are as well something unwanted.

    They stay, so that they can be clicked back in. What is surely unwanted, with a score of 0.9,
    is left with 0.1 at most.
    """
    count = len(found)
    scores = found.scores.copy()
    for pair in meetings(collected(_whole([found, unwanted]), found.shape)):
        if pair.likeness >= ALIKE:
            refused = float(unwanted.scores[pair.other - count])
            scores[pair.one] = min(scores[pair.one], 1 - refused)
    return replace(found, scores=np.clip(scores, 0, 1))


def suggests_nothing() -> ModelError:
    """Return the error of a session without a text model that is asked for phrases."""
    return ModelError(
        "Only a text model can suggest phrases: choose one, such as BiomedCLIP, in the Model panel."
    )


def _whole(parts: Sequence[Candidates]) -> list[tuple[Window, Candidates]]:
    """Say of candidates that they are of the whole picture."""
    return [(Window(0, 0, 0, *part.shape), part) for part in parts]
