"""What belongs to one image: its objects, their prompts and their masks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from psygnal import Signal

from ..layers import (
    Layout,
    PromptLayers,
    PromptSnapshot,
    ResultLayers,
    ScoreRow,
    StackAxes,
    data_shape,
    default_folder,
)
from ..values import FrameIndex, Key, Mask, ObjectList, SegmentedObject, StorageError
from .history import PromptHistory


class Workspace:
    """The work on one image, kept while the image is in the viewer."""

    removed = Signal(frozenset)  # ids of objects

    def __init__(self, image: Image, layout: Layout) -> None:
        self.image = image
        self.shape = data_shape(image)
        self.objects = ObjectList()
        self.prompts = PromptLayers(image)
        self.results = ResultLayers(image, default_folder(image.name), layout)
        self.history = PromptHistory(self.prompts.snapshot())
        self.promoted: frozenset[Key[FrameIndex]] = (
            frozenset()
        )  # where a candidate became an object
        self._is_restoring = False
        self.prompts.changed.connect(self._on_prompts_changed)
        self.objects.current_changed.connect(self._on_current_changed)
        self.objects.added.connect(self._on_object_described)
        self.objects.renamed.connect(self._on_object_described)
        self.objects.add()

    def layers(self) -> list[Layer]:
        """Return all layers of prompts and of masks."""
        return [self.prompts.points, self.prompts.shapes, *self.results.layers()]

    def undo(self) -> None:
        """Take the last change of the prompts back that objects still there had.

        Objects that candidates became are candidates again, if nothing was done to them since.
        """
        shown = state = self.prompts.snapshot()
        while self.history.can_undo and not state.keys_that_differ(shown):
            made = [key for key in self.history.made if self._is_as_made(key)]
            state = _owned_by(self.history.undo(), self._ids)
            if made:
                self.history.forget_undone()
                self.remove_objects(object_id for _, object_id in made)
                return
        self._restore(state)

    def redo(self) -> None:
        """Make the change that was taken back again."""
        shown = state = self.prompts.snapshot()
        while self.history.can_redo and not state.keys_that_differ(shown):
            state = _owned_by(self.history.redo(), self._ids)
        self._restore(state)

    def start_next_object(self) -> None:
        """Let the next prompts belong to an object that has none yet."""
        unused = self._unused_objects
        self.objects.current = unused[0] if unused else self.objects.add()

    def promote(self, place: FrameIndex, found: Sequence[Mask]) -> list[SegmentedObject]:
        """Make objects of what was found on a frame; prompts correct them from now on.

        Raises
        ------
        StorageError
            If they cannot be stored; none is an object then.
        """
        with self.results.many_described():
            objs = [*self._unused_objects[: len(found)]]
            objs += [self.objects.add() for _ in found[len(objs) :]]
        masks = {obj.id: mask for obj, mask in zip(objs, found, strict=True)}
        try:
            self.results.write_new(place, masks)
        except StorageError:
            self.remove_objects(masks)
            raise
        for object_id, mask in masks.items():
            self.objects.record(place, object_id, mask.score, mask.area)
        made = frozenset((place, object_id) for object_id in masks)
        self.promoted |= made
        self.history.push(self.prompts.snapshot(), made)
        return objs

    def remove_objects(self, object_ids: Iterable[int]) -> None:
        """Forget objects, their prompts and their masks."""
        gone = frozenset(object_ids)
        self._forget(gone)
        self.results.remove_objects(gone)

    def let_go_of(self, layer: Labels) -> None:
        """Forget the objects of a layer that was taken away; their masks stay on disk."""
        gone = [obj.id for obj in self.objects if self.results.layer_of(obj.id) is layer]
        self.results.let_go(layer)
        self._forget(frozenset(gone))

    def _forget(self, gone: frozenset[int]) -> None:
        current = self.objects.current
        if not gone:
            return
        for object_id in sorted(gone, key=lambda one: current is not None and one == current.id):
            self.objects.remove(object_id)
        self.prompts.remove_objects(gone)
        self.promoted = frozenset(key for key in self.promoted if key[1] not in gone)
        if not len(self.objects):
            self.objects.add()
        self.removed.emit(gone)

    def track_name(self, layer: Labels) -> None:
        """Rename an object whenever the user renames its layer."""
        layer.events.name.connect(self._on_layer_renamed)

    def nearest_frame(
        self, obj: SegmentedObject, axes: StackAxes, place: FrameIndex
    ) -> FrameIndex | None:
        """Return the frame of a stack closest to a place on which an object is known."""
        prompted = {where for where, owner in self.prompts.snapshot().keys if owner == obj.id}
        known = [where for where in prompted | obj.results.keys() if axes.holds(where)]
        here = axes.frame_of(place)
        return min(known, key=lambda where: abs(axes.frame_of(where) - here), default=None)

    def frames_done(self, obj: SegmentedObject, axes: StackAxes) -> int:
        """Count the frames of a stack on which an object has a mask."""
        return sum(axes.holds(place) for place, one in obj.results.items() if one.area)

    def show_scores(self, place: FrameIndex) -> None:
        """Show scores and areas of a frame where the mouse points."""
        self.results.show_scores(
            ScoreRow(obj.id, obj.name, obj.results[place].score, obj.results[place].area)
            for obj in self.objects
            if place in obj.results
        )

    @property
    def _unused_objects(self) -> list[SegmentedObject]:
        used = {object_id for _, object_id in self.prompts.snapshot().keys}
        return [one for one in self.objects if one.id not in used and not one.results]

    @property
    def _ids(self) -> list[int]:
        return [obj.id for obj in self.objects]

    def _is_as_made(self, key: Key[FrameIndex]) -> bool:
        """Whether nothing was done to an object since a candidate became it on a frame."""
        place, object_id = key
        if key not in self.promoted:
            return False
        is_here_only = self.objects[object_id].results.keys() == {place}
        return is_here_only and not self.results.is_edited(place, object_id)

    def _restore(self, state: PromptSnapshot) -> None:
        self._is_restoring = True
        try:
            self.prompts.restore(state)
        finally:
            self._is_restoring = False

    def _on_prompts_changed(self, _: frozenset[Key[FrameIndex]]) -> None:
        if not self._is_restoring:
            self.history.push(self.prompts.snapshot())

    def _on_current_changed(self, current: SegmentedObject | None) -> None:
        if current is not None:
            self.prompts.object_color = current.color
            self.prompts.current_object = current.id

    def _on_layer_renamed(self, event: Any) -> None:
        layer = event.source
        owners = [one for one in self.objects if self.results.layer_of(one.id) is layer]
        if self.results.layout == "layer per object" and owners and owners[0].name != layer.name:
            self.objects.rename(owners[0].id, layer.name)

    def _on_object_described(self, obj: SegmentedObject) -> None:
        self.results.describe(obj.id, obj.name, obj.color)


def _owned_by(state: PromptSnapshot, object_ids: Collection[int]) -> PromptSnapshot:
    """Leave out what was said about other objects."""
    kept = np.isin(state.objects, list(object_ids))
    return replace(
        state,
        points=state.points[kept],
        objects=state.objects[kept],
        positive=state.positive[kept],
        outlines=tuple(one for one in state.outlines if one.object_id in object_ids),
    )
