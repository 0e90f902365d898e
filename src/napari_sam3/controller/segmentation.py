"""From prompts to masks: asks the engine, writes what it answers, and shows other readings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from psygnal import Signal

from ..values import (
    Box,
    CancelledError,
    FrameIndex,
    FramesError,
    Key,
    Mask,
    PromptError,
    Prompts,
    Sam3Error,
    StorageError,
)
from .jobs import Jobs
from .view import Sessions, View
from .workspace import Workspace


class FoundMasks:
    """Keeps what was found while prompts correct it, and gives it back when they are gone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._found: dict[Key[FrameIndex], Mask] = {}

    def keep(self, key: Key[FrameIndex]) -> None:
        """Remember what the object looks like on a frame where it is prompted from now on."""
        mask = self._workspace.results.mask(*key).trimmed()
        if mask.area:
            result = self._workspace.objects[key[1]].results.get(key[0])
            score = 1.0 if result is None else result.score
            self._found[key] = replace(mask, score=score)

    def take(self, key: Key[FrameIndex]) -> Mask | None:
        """Give back what was found, and keep it no longer."""
        return self._found.pop(key, None)

    def completed(self, key: Key[FrameIndex], prompts: Prompts) -> Prompts:
        """Let points correct what was found, unless they say that the object is elsewhere."""
        found = self._found.get(key)
        if found is None or len(prompts.boxes) or prompts.has_mask:
            return prompts
        if not found.contains(prompts.points[prompts.positive]):
            return prompts
        return prompts.with_mask(found)


PREDICTIONS_KEPT = 8  # answers whose other readings are still at hand


@dataclass(frozen=True, slots=True, eq=False)
class ShownHypothesis:
    """Which of a few readings of a prompt is shown."""

    position: int
    count: int
    hypothesis: Mask


class Segmentation:
    """Keeps the masks of one workspace true to its prompts."""

    changed = Signal()
    failed = Signal(str)

    def __init__(
        self,
        workspace: Workspace,
        jobs: Jobs,
        sessions: Sessions,
        look: Callable[[FrameIndex], View],
        visible: Callable[[], Box | None],
    ) -> None:
        self._workspace = workspace
        self._jobs = jobs
        self._sessions = sessions
        self._look = look
        self._visible = visible
        self._shown: OrderedDict[Key[FrameIndex], ShownHypothesis] = OrderedDict()
        self._answers: dict[Key[FrameIndex], Mask] = {}
        self._preferred: dict[
            Key[FrameIndex], list[tuple[Prompts, str]]
        ] = {}  # readings by what was said
        self._found = FoundMasks(workspace)
        self._waiting: set[Key[FrameIndex]] = set()  # whose prompts have no answer yet
        self.prompted_keys: frozenset[Key[FrameIndex]] = frozenset()  # where prompts mark an object
        workspace.prompts.changed.connect(self._on_prompts_changed)

    def close(self) -> None:
        """Answer prompts no longer."""
        self._workspace.prompts.changed.disconnect(self._on_prompts_changed)
        self.drop_requests()

    def drop_requests(self) -> None:
        """Leave prompts that wait for a mask without one; they are asked again with the next."""
        for key in self.prompted_keys:
            self._forget_request(key)

    def is_waiting(self, key: Key[FrameIndex]) -> bool:
        """Whether prompts were changed and their mask is still the one before."""
        return key in self._waiting

    def prompts(self, keys: Iterable[Key[FrameIndex]]) -> dict[Key[FrameIndex], Prompts]:
        """Read prompts; those that correct a mask that was found come with it."""
        said = self._workspace.prompts.prompts(keys)
        return {key: self._found.completed(key, prompts) for key, prompts in said.items()}

    def shown_hypothesis(self, key: Key[FrameIndex]) -> ShownHypothesis | None:
        """Return which reading of a prompt is shown, while its others are at hand."""
        return self._shown.get(key)

    def show_next_hypothesis(self, key: Key[FrameIndex]) -> None:
        """Show the next way to understand a prompt: the whole, a part, or a part of that."""
        shown = self._shown.get(key)
        if shown is None:
            self._ask_again(key)
            return
        position = (shown.position + 1) % shown.count
        name = self._answers[key].alternatives[position].name
        for prompts in self.prompts([key]).values():
            self._preferred.setdefault(key, []).append((prompts, name))
        self._prefer(key, position)

    def _preference(self, key: Key[FrameIndex], said: Prompts) -> str | None:
        """Return the reading that was chosen last when the very same was said."""
        chosen = reversed(self._preferred.get(key, []))
        return next((name for one, name in chosen if one.extends(said) and said.extends(one)), None)

    def _prefer(self, key: Key[FrameIndex], position: int) -> None:
        answer = self._answers[key]
        hypothesis, view = answer.alternatives[position], self._look(key[0])
        self._jobs.submit(
            (self, "prefer", key),
            lambda: self._sessions.of(view).prefer(answer.frame, key[1], hypothesis.name),
            lambda _: None,
            self._on_request_failed,
        )
        self._show(key, ShownHypothesis(position, len(answer.alternatives), hypothesis))

    def _on_prompts_changed(self, keys: frozenset[Key[FrameIndex]]) -> None:
        for key in self._workspace.prompts.prompts(keys).keys() - self.prompted_keys:
            self._begin(key)
        prompted = self.prompts(keys)
        answerable = {key for key, prompts in prompted.items() if self._is_answerable(prompts)}
        self.prompted_keys = (self.prompted_keys - keys) | answerable
        for key in sorted(keys):
            if key in prompted:
                self._ask(key, prompted[key])
            else:
                self._take_back(key)
        self.changed.emit()

    def _ask_again(self, key: Key[FrameIndex]) -> None:
        for prompts in self.prompts([key]).values():
            self._ask(key, prompts)

    def _ask(self, key: Key[FrameIndex], prompts: Prompts) -> None:
        place, object_id = key
        try:
            view = self._look(place)
            prompts.check(view.axes.plane)
        except (FramesError, PromptError) as error:
            self._refuse(key, prompts, error)
            return
        frame, visible = view.axes.frame_of(place), self._visible()
        self._waiting.add(key)
        self._jobs.submit(
            (self, key),
            lambda: self._sessions.of(view).segment(frame, prompts, object_id, visible),
            partial(self._on_mask_answered, key, prompts),
            partial(self._on_prompts_failed, key),
        )

    def _forget_request(self, key: Key[FrameIndex]) -> None:
        self._waiting.discard(key)
        self._jobs.forget((self, key))

    def _refuse(self, key: Key[FrameIndex], prompts: Prompts, error: Sam3Error) -> None:
        """Say what is wrong; the mask goes if nothing marks the object any more."""
        self._forget_request(key)
        is_marked = prompts.positive.any() or len(prompts.boxes) or prompts.has_mask
        if not is_marked:
            self._take_back(key)
        self._on_request_failed(error)

    def _is_answerable(self, prompts: Prompts) -> bool:
        rows, cols = self._workspace.shape[-2:]
        try:
            prompts.check((rows, cols))
        except PromptError:
            return False
        return True

    def _begin(self, key: Key[FrameIndex]) -> None:
        if key[1] in self._workspace.objects:
            self._found.keep(key)

    def _take_back(self, key: Key[FrameIndex]) -> None:
        """Show what was found before anything was prompted here, or nothing."""
        found = self._found.take(key)
        self._shown.pop(key, None)
        self._answers.pop(key, None)
        self._preferred.pop(key, None)
        self._forget_request(key)
        if key[1] not in self._workspace.objects:
            return
        try:
            if found is None:
                self._workspace.results.erase(*key)
            else:
                self._workspace.results.write(*key, found)
        except StorageError as error:
            self._on_request_failed(error)
            return
        self._workspace.objects.forget(*key)
        if found is not None:
            self._workspace.objects.record(*key, found.score, found.area)

    def _on_prompts_failed(self, key: Key[FrameIndex], error: Sam3Error) -> None:
        self._waiting.discard(key)
        self._on_request_failed(error)

    def _on_mask_answered(self, key: Key[FrameIndex], said: Prompts, mask: Mask) -> None:
        self._waiting.discard(key)
        if key[1] not in self._workspace.objects:
            return
        self._answers[key] = mask
        self._show(key, ShownHypothesis(0, len(mask.alternatives), mask.alternatives[0]))
        preferred = self._preference(key, said)
        for position, hypothesis in enumerate(mask.alternatives[1:], start=1):
            if hypothesis.name == preferred:  # the same is said again, as by undo
                self._prefer(key, position)
        while len(self._shown) > PREDICTIONS_KEPT:
            self._answers.pop(self._shown.popitem(last=False)[0])

    def _show(self, key: Key[FrameIndex], shown: ShownHypothesis) -> None:
        try:
            self._workspace.results.write(*key, shown.hypothesis)
        except StorageError as error:
            self._on_request_failed(error)
            return
        self._shown[key] = shown
        self._shown.move_to_end(key)
        self._workspace.objects.record(*key, shown.hypothesis.score, shown.hypothesis.area)
        self.changed.emit()

    def _on_request_failed(self, error: Sam3Error) -> None:
        if not isinstance(error, CancelledError):  # who stops something knows about it
            self.failed.emit(str(error))
