"""Asking a mask decoder about one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from torch import Tensor

from ..backend import Answer
from ..prompts import Prompts
from .drawing import draw_readings
from .passes import Passes
from .pictures import Scaling
from .questions import Question


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """What a mask decoder says about one object: one mask, or three if it is ambiguous."""

    logits: Tensor  # (K, h, w) float32
    scores: Tensor  # (K,) float32, predicted intersection over union, 0..1
    presence: float = 1.0  # how sure it is that the object is on the image, 0..1


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One image, as a mask decoder sees it."""

    ask: Callable[[Sequence[Question]], Sequence[Guess]]  # questions of one kind, in one pass
    scaling: Scaling
    mask_side: int  # of the logits
    passes: Passes

    def segment(
        self, prompts: Sequence[Prompts], previous: Sequence[Answer | None]
    ) -> list[Answer]:
        """Answer the prompts of several objects; see `Backend.segment`."""
        questions = [self.question(*said) for said in zip(prompts, previous, strict=True)]
        return [self._answer(guess) for guess in self.guess(questions)]

    def question(self, prompts: Prompts, previous: Answer | None) -> Question:
        """Ask what prompts ask, beginning with what was answered before."""
        return Question.of(prompts, previous, self.scaling, self.mask_side)

    def guess(self, questions: Sequence[Question]) -> list[Guess]:
        """Answer questions of all kinds, those of one kind together."""
        return self.passes.run(self.ask, questions, attrgetter("kind"))

    def _answer(self, guess: Guess) -> Answer:
        """Draw a guess; the answer remembers the logits of its readings by name."""
        readings, logits = draw_readings(guess.logits, guess.scores.tolist(), self.scaling)
        return Answer(readings, guess.presence, logits)
