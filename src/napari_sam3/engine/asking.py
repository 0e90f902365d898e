"""Asking a model about objects, and only what it was not asked before."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from .cache.bounded import BoundedCache
from .finding.exemplars import Box
from .images.picture import Picture
from .images.windows import Window
from .masks import ObjectMask, ReadingName
from .model import Model
from .prompts import Prompts
from .propagation import Key
from .said import Question, Said, continuation, first_question, next_question, wider_question
from .turns import Turn

ANSWER_BYTES = 2**28
"""What the answers may occupy that later prompts can refine, with all that a model needs for it."""
RECENT = 32
"""How many windows are remembered, so that clicks near each other are asked in one of them."""


class Asking:
    """Asks a model about the objects of one stack.

    Prompts that extend the last ones for the same object and frame refine its answer. Large
    frames are looked at through windows. A mask that its window cuts is asked for again in a
    coarser one, until it is whole. Its outline is kept as it is seen there: with the embedded
    network it agreed as well with invented objects of 1000 to 1700 pixels (0.98 and more, as
    intersection over union) as that of smaller ones, so finer windows would add nothing.
    """

    def __init__(self, model: Model, stack: Picture) -> None:
        self._model = model
        self._stack = stack
        self._frames = stack.frames
        self._said: BoundedCache[Key, Said] = BoundedCache(ANSWER_BYTES)
        self._windows: deque[tuple[int, Window]] = deque(maxlen=RECENT)  # frame, window

    def masks(
        self,
        frame: int,
        prompts: Mapping[int, Prompts],
        turn: Turn,
        visible: Box | None = None,
    ) -> dict[int, ObjectMask]:
        """Return the masks of several objects of a frame, by object id.

        Parameters
        ----------
        frame : int
            The frame.
        prompts : mapping of object id to Prompts
            What is said about each object, in pixels of the frame.
        turn : Turn
            In which the model is asked, taken once for every window.
        visible : Box, optional
            What the user sees of the frame.
        """
        said: dict[int, Said] = {}
        questions: dict[int, Question] = {}
        clipped = {i: one.clipped(self._frames.shape) for i, one in prompts.items()}
        for object_id, one in clipped.items():
            known = self._said.get((frame, object_id))
            if known is None or not one.extends(known.prompts):
                questions[object_id] = self._first_question(frame, one, visible)
            elif known.prompts.extends(one):
                said[object_id] = known
            else:
                questions[object_id] = next_question(one, known, self._frames)
        new = self._continued(frame, self._asked(frame, questions, turn), turn)
        for object_id, answered in new.items():
            self._said.put((frame, object_id), answered)
        said |= new
        return {i: said[i].mask(frame, i, self._frames.shape) for i in prompts}

    def prefer(self, frame: int, object_id: int, name: ReadingName) -> ObjectMask | None:
        """Go on from this reading of the last answer, if there is one, and return it."""
        said = self._said.get((frame, object_id))
        if said is None:
            return None
        readings = tuple(sorted(said.answer.readings, key=lambda reading: reading.name != name))
        said = replace(said, answer=replace(said.answer, readings=readings))
        self._said.put((frame, object_id), said)
        return said.mask(frame, object_id, self._frames.shape)

    def forget(self, object_id: int) -> None:
        """Forget what was said about an object."""
        self._said.forget(lambda key: key[1] == object_id)

    def forget_all(self) -> None:
        """Forget what was said about all objects."""
        self._said.clear()

    def _first_question(self, frame: int, prompts: Prompts, visible: Box | None) -> Question:
        known = [window for place, window in list(self._windows) if place == frame]
        question = first_question(prompts, self._frames, visible, known)
        if question.window is not None and question.window not in known:
            self._windows.append((frame, question.window))
        return question

    def _asked(self, frame: int, questions: Mapping[int, Question], turn: Turn) -> dict[int, Said]:
        """Ask all questions of a window in one pass."""
        said: dict[int, Said] = {}
        for window in dict.fromkeys(question.window for question in questions.values()):
            group = {i: one for i, one in questions.items() if one.window == window}
            picture = replace(self._stack, frame=frame, window=window)
            asked = [one.asked for one in group.values()]
            previous = [one.previous for one in group.values()]
            with self._model.embedded(picture, turn) as embedding:
                answers = self._model.backend.segment(embedding, asked, previous)
            for (object_id, one), answer in zip(group.items(), answers, strict=True):
                said[object_id] = Said.of(one, answer)
        return said

    def _continued(self, frame: int, said: dict[int, Said], turn: Turn) -> dict[int, Said]:
        """Look at objects that go on beyond their windows in ever coarser ones."""
        going = said
        while going:
            questions = {
                i: question
                for i, one in going.items()
                if (question := wider_question(one, self._frames)) is not None
            }
            wider = self._asked(frame, questions, turn)
            going = {
                i: whole
                for i, one in wider.items()
                if (whole := continuation(said[i], one, self._frames.shape)) is not None
            }
            said = said | going
        return said
