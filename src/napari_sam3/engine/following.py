"""Following objects through a stack, from where they are known."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from .ahead import embed_together
from .asking import Asking
from .errors import PromptError
from .images.picture import Picture
from .masks import ObjectMask, trimmed
from .model import Model
from .prompts import Prompts
from .propagation import Key, Plan
from .read_ahead import ReadAhead
from .walking import Walker

Prompted = Mapping[Key, Prompts | ObjectMask]
"""Where objects are known, by frame and object id."""


class Following:
    """Follows objects of one stack, and reads frames ahead meanwhile."""

    def __init__(self, model: Model, stack: Picture, asking: Asking) -> None:
        self._model = model
        self._stack = stack
        self._asking = asking

    def check(self, prompted: Prompted) -> None:
        """Refuse what does not fit the frames."""
        shape = self._stack.frames.shape
        for one in prompted.values():
            match one:
                case Prompts():
                    one.check(shape)
                case ObjectMask(shape=own) if own != shape:
                    raise PromptError(f"The mask is made for {own} pixels, the frame has {shape}.")

    def masks(
        self, plan: Plan, prompted: Prompted, check: Callable[[int], object]
    ) -> Generator[list[ObjectMask], None, None]:
        """Yield the masks of one step after the other; each frame is checked before it is read."""
        with ReadAhead(self._model.is_ready) as reader:
            given = partial(self._given, prompted)
            walker = Walker(self._model, reader.picture(self._stack), plan, given)
            steps, reach = list(plan.steps()), 0
            for index, step in enumerate(steps):
                check(step.frame)
                size = self._model.batches.size(self._stack.frames.shape)
                reach = max(reach - 1, 2 * size)  # what is read ahead stays so in smaller batches
                coming = map(walker.expected, steps[index : index + reach])
                expected = [picture for pictures in coming for picture in pictures]
                reader.expect(*expected)
                embed_together(self._model, expected[:size])
                yield walker.take(step)

    def _given(
        self, prompted: Prompted, frame: int, object_ids: Sequence[int]
    ) -> dict[int, ObjectMask]:
        masks: dict[int, ObjectMask] = {}
        prompts: dict[int, Prompts] = {}
        for object_id in object_ids:
            match prompted[frame, object_id]:
                case Prompts() as said:
                    prompts[object_id] = said
                case ObjectMask() as mask:
                    own = trimmed(mask) if self._stack.frames.is_large else mask
                    masks[object_id] = replace(own, frame=frame, object_id=object_id)
        return masks | self._asking.masks(frame, prompts, self._model.turns.background())
