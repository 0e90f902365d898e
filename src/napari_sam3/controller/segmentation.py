"""From prompts to masks: segments what is prompted, and shows the mask hypotheses of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from psygnal import Signal

from ..layers import PromptChange
from ..values import (
    NOTHING_MARKED,
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
from .history import PickHypothesis
from .jobs import Jobs
from .view import Sessions, View
from .workspace import Workspace

PREDICTIONS_KEPT = 8
"""Masks whose alternatives can be shown without segmenting again."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownHypothesis:
    """Which of a few mask hypotheses of some prompts is shown."""

    position: int
    count: int
    hypothesis: Mask


class Segmentation:
    """Keeps the masks of one workspace true to its prompts.

    Parameters
    ----------
    view_of : callable
        Returns the stack through a frame, as it is displayed now.
    visible : callable
        Returns the box of the image that the canvas shows.

    Attributes
    ----------
    prompted_keys : frozenset
        Frames and objects whose prompts mark the object.
    """

    prompted = Signal()  # prompts changed, and their masks are yet to come
    changed = Signal()  # a mask
    failed = Signal(str)

    def __init__(
        self,
        workspace: Workspace,
        jobs: Jobs,
        sessions: Sessions,
        view_of: Callable[[FrameIndex], View],
        visible: Callable[[], Box | None],
    ) -> None:
        self.prompted_keys: frozenset[Key[FrameIndex]] = frozenset()
        self._workspace = workspace
        self._jobs = jobs
        self._sessions = sessions
        self._view_of = view_of
        self._visible = visible
        self._shown: OrderedDict[Key[FrameIndex], ShownHypothesis] = OrderedDict()
        self._masks: dict[Key[FrameIndex], Mask] = {}  # with the alternatives of those shown
        self._promoted: dict[Key[FrameIndex], Mask] = {}  # before prompts corrected them
        self._waiting: set[Key[FrameIndex]] = set()  # whose prompts have no mask yet
        workspace.prompts.changed.connect(self._on_prompts_changed)

    def close(self) -> None:
        """Segment nothing any more."""
        self._workspace.prompts.changed.disconnect(self._on_prompts_changed)
        self.drop_requests()

    def drop_requests(self) -> None:
        """Leave prompts that wait for a mask without one until the next prompt."""
        for key in self.prompted_keys:
            self._drop_request(key)

    def is_waiting(self, key: Key[FrameIndex]) -> bool:
        """Whether prompts were changed and their mask is still the one before."""
        return key in self._waiting

    def prompts(self, keys: Iterable[Key[FrameIndex]]) -> dict[Key[FrameIndex], Prompts]:
        """Return prompts; those that correct a promoted mask come with it."""
        prompts = self._workspace.prompts.snapshot.prompts(keys)
        return {key: self._with_promoted_mask(key, prompts[key]) for key in prompts}

    def shown_hypothesis(self, key: Key[FrameIndex]) -> ShownHypothesis | None:
        """Return which mask hypothesis is shown, while its alternatives are kept."""
        return self._shown.get(key)

    def show_next_hypothesis(self, key: Key[FrameIndex]) -> None:
        """Show the next mask hypothesis: the whole, a part, or a part of that."""
        shown, prompts = self._shown.get(key), self.prompts([key]).get(key)
        if shown is None and prompts is not None:
            self._request_mask(key, prompts)
        if shown is None:
            return
        position = (shown.position + 1) % shown.count
        if prompts is not None:
            name = self._masks[key].alternatives[position].name
            self._workspace.history.push(PickHypothesis(key, prompts, name))
        self._show_hypothesis(key, position)
        self._prefer_hypothesis(key, position)

    def _on_prompts_changed(self, change: PromptChange) -> None:
        prompts = change.after.prompts(change.keys)
        for key in prompts.keys() - self.prompted_keys:
            self._keep_promoted_mask(key)
        prompts = {key: self._with_promoted_mask(key, prompts[key]) for key in prompts}
        marked = {key for key in prompts if prompts[key].marks_object}
        self.prompted_keys = (self.prompted_keys - change.keys) | marked
        self.prompted.emit()
        for key in sorted(change.keys):
            if key in marked:
                self._request_mask(key, prompts[key])
            else:
                self._take_back_mask(key)
        if prompts.keys() - marked:
            self.failed.emit(NOTHING_MARKED)

    def _request_mask(self, key: Key[FrameIndex], prompts: Prompts) -> None:
        frame_index, object_id = key
        try:
            view = self._view_of(frame_index)
        except FramesError as error:
            self._drop_request(key)
            self.failed.emit(str(error))
            return
        frame = view.axes.frame_of(frame_index)
        visible = self._visible() if view.frames.is_large else None
        self._waiting.add(key)
        self._jobs.submit(
            (self, key),
            lambda: self._sessions.of(view).segment(frame, prompts, object_id, visible),
            partial(self._on_mask_arrived, key, prompts),
            partial(self._on_request_failed, key),
        )

    def _on_mask_arrived(self, key: Key[FrameIndex], prompts: Prompts, mask: Mask) -> None:
        self._waiting.discard(key)
        if key[1] not in self._workspace.objects:
            return
        self._masks[key] = mask
        picked = self._workspace.history.picked_hypothesis(key, prompts)
        names = [hypothesis.name for hypothesis in mask.alternatives[1:]]
        position = 1 + names.index(picked) if picked in names else 0
        self._show_hypothesis(key, position)
        if position:
            self._prefer_hypothesis(key, position)
        while len(self._shown) > PREDICTIONS_KEPT:
            self._masks.pop(self._shown.popitem(last=False)[0])

    def _on_request_failed(self, key: Key[FrameIndex], error: Sam3Error) -> None:
        self._waiting.discard(key)
        if isinstance(error, PromptError):
            self.prompted_keys -= {key}
        self._on_failed(error)

    def _on_failed(self, error: Sam3Error) -> None:
        if not isinstance(error, CancelledError):  # who stops something knows about it
            self.failed.emit(str(error))

    def _drop_request(self, key: Key[FrameIndex]) -> None:
        self._waiting.discard(key)
        self._jobs.forget((self, key))

    def _show_hypothesis(self, key: Key[FrameIndex], position: int) -> None:
        alternatives = self._masks[key].alternatives
        hypothesis = alternatives[position]
        try:
            self._workspace.results.write(*key, hypothesis)
        except StorageError as error:
            self._on_failed(error)
            return
        self._shown[key] = ShownHypothesis(position, len(alternatives), hypothesis)
        self._shown.move_to_end(key)
        self._workspace.objects.record(*key, hypothesis.score, hypothesis.area)
        self.changed.emit()

    def _prefer_hypothesis(self, key: Key[FrameIndex], position: int) -> None:
        """Let later prompts and propagations start from this hypothesis."""
        mask, view = self._masks[key], self._view_of(key[0])
        name = mask.alternatives[position].name
        self._jobs.submit(
            (self, "prefer", key),
            lambda: self._sessions.of(view).prefer(mask.frame, key[1], name),
            lambda _: None,
            self._on_failed,
        )

    def _keep_promoted_mask(self, key: Key[FrameIndex]) -> None:
        """Keep the mask that an object has on a frame where it is prompted from now on."""
        if key[1] not in self._workspace.objects:
            return
        mask = self._workspace.results.mask(*key).trimmed()
        if mask.area:
            result = self._workspace.objects[key[1]].results.get(key[0])
            score = 1.0 if result is None else result.score
            self._promoted[key] = replace(mask, score=score)

    def _with_promoted_mask(self, key: Key[FrameIndex], prompts: Prompts) -> Prompts:
        """Let points correct a kept mask, unless they say that the object is elsewhere."""
        mask = self._promoted.get(key)
        if mask is None or len(prompts.boxes) or prompts.has_mask:
            return prompts
        if not mask.contains(prompts.points[prompts.positive]):
            return prompts
        return prompts.with_mask(mask)

    def _take_back_mask(self, key: Key[FrameIndex]) -> None:
        """Show the mask from before anything was prompted here, or nothing."""
        promoted = self._promoted.pop(key, None)
        self._shown.pop(key, None)
        self._masks.pop(key, None)
        self._workspace.history.forget_hypotheses(key)
        self._drop_request(key)
        if key[1] not in self._workspace.objects:
            return
        try:
            if promoted is None:
                self._workspace.results.erase(*key)
            else:
                self._workspace.results.write(*key, promoted)
        except StorageError as error:
            self._on_failed(error)
            return
        self._workspace.objects.forget(*key)
        if promoted is not None:
            self._workspace.objects.record(*key, promoted.score, promoted.area)
        self.changed.emit()
