"""Finding all objects of a frame, without prompts or by what they have in common."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

from .backend import reads_no_concepts
from .concepts import Candidates, Concept
from .errors import PromptError
from .model import Model, Picture
from .prompts import Prompts


class Finding:
    """Finds objects on the frames of one stack."""

    def __init__(self, model: Model, stack: Picture) -> None:
        self._model = model
        self._stack = stack

    def everything(self, frame: int, turn: AbstractContextManager[None]) -> Candidates:
        """Find all objects of a frame, without prompts."""
        with self._model.embedded(replace(self._stack, frame=frame), turn) as embedding:
            return replace(self._model.backend.everything(embedding), frame=frame)

    def found(self, frame: int, concept: Concept, turn: AbstractContextManager[None]) -> Candidates:
        """Find all objects of a frame that a concept describes."""
        with self._model.embedded(replace(self._stack, frame=frame), turn) as embedding:
            return replace(self._model.backend.find(embedding, concept), frame=frame)

    def check(self, concept: Concept) -> None:
        """Refuse a concept that the model cannot read, or that says nothing."""
        backend = self._model.backend
        if not backend.reads_concepts:
            raise reads_no_concepts(backend.name)
        if concept.is_empty:
            raise PromptError("Nothing says what to find: type a text or draw a box around one.")
        boxes = [*concept.exemplars, *concept.negatives]
        if boxes:
            Prompts(boxes=boxes).check(self._stack.frames.shape)
