"""What belongs to one image: its objects, their prompts, their masks, and the history of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from napari.layers import Image, Labels, Layer
from psygnal import Signal

from ..layers import (
    Layout,
    PromptChange,
    PromptLayers,
    PromptSnapshot,
    ResultLayers,
    ScoreRow,
    StackAxes,
    data_shape,
    default_folder,
)
from ..storage import CHOOSE_CACHE, SessionDescription, SessionFolder
from ..values import FrameIndex, Key, Mask, ObjectList, SegmentedObject, StorageError
from .history import ChangeLayout, ChangePrompts, History, Paint, Promote, RemoveObjects


class Workspace:
    """Objects, prompts and masks of one image, kept while the image is in the viewer.

    Parameters
    ----------
    image : Image
        The layer that is annotated.
    layout : str
        Whether every object has a Labels layer of its own, or all share one.
    describe : callable
        Returns what the masks are made from, for the session folder.

    Attributes
    ----------
    promoted : frozenset
        Objects that were candidates, each on the frame of its candidate.
    """

    removed = Signal(frozenset)  # ids of objects

    def __init__(
        self, image: Image, layout: Layout, describe: Callable[[], SessionDescription]
    ) -> None:
        self.image = image
        self.shape = data_shape(image)
        self.objects = ObjectList()
        self.prompts = PromptLayers(image)
        self.folder = SessionFolder(default_folder(image.name), describe, CHOOSE_CACHE)
        self.results = ResultLayers(image, self.folder, layout)
        self.history = History()
        self.promoted: frozenset[Key[FrameIndex]] = frozenset()
        self._is_restoring = False
        self.prompts.changed.connect(self._on_prompts_changed)
        self.objects.current_changed.connect(self._on_current_changed)
        self.objects.added.connect(self._on_object_described)
        self.objects.renamed.connect(self._on_object_described)
        self.objects.add()

    def layers(self) -> list[Layer]:
        """Return all layers of prompts and of masks."""
        return [self.prompts.points, self.prompts.shapes, *self.results.layers()]

    def watch_layer(self, layer: Labels) -> None:
        """Rename an object whenever its layer is renamed, and record what is painted."""
        layer.events.name.connect(self._on_layer_renamed)
        layer.events.paint.connect(self._on_layer_painted)

    def start_next_object(self) -> None:
        """Let the next prompts belong to an object that has none yet."""
        unused = self._unused_objects
        self.objects.current = unused[0] if unused else self.objects.add()

    def promote(self, frame_index: FrameIndex, candidates: Sequence[Mask]) -> list[SegmentedObject]:
        """Make objects of candidates of a frame; prompts correct them from now on.

        Raises
        ------
        StorageError
            If they cannot be stored; none is an object then.
        """
        with self.results.many_described():
            objs = [*self._unused_objects[: len(candidates)]]
            objs += [self.objects.add() for _ in candidates[len(objs) :]]
        masks = {obj.id: mask for obj, mask in zip(objs, candidates, strict=True)}
        try:
            self.results.write_new(frame_index, masks)
        except StorageError:
            self._delete_objects(frozenset(masks))
            raise
        for object_id, mask in masks.items():
            self.objects.record(frame_index, object_id, mask.score, mask.area)
        keys = frozenset((frame_index, object_id) for object_id in masks)
        self.promoted |= keys
        self.history.push(Promote(keys))
        return objs

    def remove_objects(self, object_ids: Iterable[int]) -> None:
        """Remove objects, their prompts and their masks."""
        removed = frozenset(object_ids)
        self._delete_objects(removed)
        self.history.push(RemoveObjects(removed))

    def let_go_of(self, layer: Labels) -> None:
        """Forget the objects of a layer that was taken away; their masks stay on disk."""
        removed = [obj.id for obj in self.objects if self.results.layer_of(obj.id) is layer]
        self.results.let_go(layer)
        self._forget_objects(frozenset(removed))

    def change_layout(self, layout: Layout) -> int:
        """Move all masks to another layout; return how many pixels overlapping objects lost."""
        before = self.results.layout
        lost = self.results.change_layout(layout)
        if layout != before:
            self.history.push(ChangeLayout(before, layout))
        return lost

    def undo(self) -> None:
        """Undo the last act that can be undone; without one, drop a shape that is being drawn."""
        if not self.history.undo(self):
            self.prompts.restore(self.prompts.snapshot)

    def redo(self) -> None:
        """Redo the act that was undone last."""
        if not self.history.redo(self):
            self.prompts.restore(self.prompts.snapshot)

    def restore_prompts(self, snapshot: PromptSnapshot) -> bool:
        """Replace the prompts of objects still there; return whether they were others."""
        restored = snapshot.of_objects([obj.id for obj in self.objects])
        if not restored.keys_that_differ(self.prompts.snapshot):
            return False
        self._is_restoring = True
        try:
            self.prompts.restore(restored)
        finally:
            self._is_restoring = False
        return True

    def demote(self, keys: Iterable[Key[FrameIndex]]) -> bool:
        """Let objects be candidates again if they are as promoted; return whether any was."""
        demoted = frozenset(key[1] for key in keys if self._is_as_promoted(key))
        self._delete_objects(demoted)
        return bool(demoted)

    def nearest_frame(
        self, obj: SegmentedObject, axes: StackAxes, frame_index: FrameIndex
    ) -> FrameIndex | None:
        """Return the frame of a stack closest to another one on which an object is known."""
        prompted = {index for index, owner in self.prompts.snapshot.keys if owner == obj.id}
        known = [index for index in prompted | obj.results.keys() if axes.holds(index)]
        here = axes.frame_of(frame_index)
        return min(known, key=lambda index: abs(axes.frame_of(index) - here), default=None)

    def frames_done(self, obj: SegmentedObject, axes: StackAxes) -> int:
        """Count the frames of a stack on which an object has a mask."""
        return sum(axes.holds(index) for index, result in obj.results.items() if result.area)

    def show_scores(self, frame_index: FrameIndex) -> None:
        """Show scores and areas of a frame where the mouse points."""
        self.results.show_scores(
            [
                ScoreRow(obj.id, obj.name, result.score, result.area)
                for obj in self.objects
                if (result := obj.results.get(frame_index)) is not None
            ]
        )

    @property
    def _unused_objects(self) -> list[SegmentedObject]:
        used = {object_id for _, object_id in self.prompts.snapshot.keys}
        return [obj for obj in self.objects if obj.id not in used and not obj.results]

    def _is_as_promoted(self, key: Key[FrameIndex]) -> bool:
        """Whether nothing was done to an object since it was promoted."""
        frame_index, object_id = key
        if key not in self.promoted:
            return False
        is_here_only = self.objects[object_id].results.keys() == {frame_index}
        return is_here_only and not self.results.is_edited(frame_index, object_id)

    def _delete_objects(self, object_ids: frozenset[int]) -> None:
        self._forget_objects(object_ids)
        self.results.remove_objects(object_ids)

    def _forget_objects(self, object_ids: frozenset[int]) -> None:
        current = self.objects.current
        if not object_ids:
            return
        current_last = sorted(object_ids, key=lambda i: current is not None and i == current.id)
        for object_id in current_last:
            self.objects.remove(object_id)
        self.prompts.remove_objects(object_ids)
        self.promoted = frozenset(key for key in self.promoted if key[1] not in object_ids)
        if not len(self.objects):
            self.objects.add()
        self.removed.emit(object_ids)

    def _on_prompts_changed(self, change: PromptChange) -> None:
        if not self._is_restoring:
            self.history.push(ChangePrompts(change.before, change.after))

    def _on_current_changed(self, current: SegmentedObject | None) -> None:
        if current is not None:
            self.prompts.object_color = current.color
            self.prompts.current_object = current.id

    def _on_layer_renamed(self, event: Any) -> None:
        layer = event.source
        owners = [obj for obj in self.objects if self.results.layer_of(obj.id) is layer]
        if self.results.layout == "layer per object" and owners and owners[0].name != layer.name:
            self.objects.rename(owners[0].id, layer.name)

    def _on_layer_painted(self, event: Any) -> None:
        self.history.push(Paint(int(event.source.selected_label)))

    def _on_object_described(self, obj: SegmentedObject) -> None:
        self.results.describe(obj.id, obj.name, obj.color)
