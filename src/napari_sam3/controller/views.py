"""What the engine is given to see: the frames of a stack as they are displayed now."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from napari.layers import Image, Layer

from ..engine import Contrast, Engine, Frames, Looking, Session
from ..layers.axes import StackAxes
from ..layers.image_stack import contrast_of, frames_of, visible_channels

VIEWS_KEPT = 4  # so that going back to a stack or a contrast finds its embeddings


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One stack under one contrast; a value that may enter a worker."""

    axes: StackAxes
    frames: Frames
    contrast: Contrast


class Views:
    """Looks at layers, and knows a stack again that it has seen before."""

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[Any, ...], Frames] = OrderedDict()
        self._views: OrderedDict[tuple[str, str], View] = OrderedDict()

    def of(self, layers: Iterable[Layer], image: Image, axes: StackAxes) -> View:
        """Return the stack of an image as it looks now, with the channels shown beside it."""
        channels = visible_channels(layers, image)
        stack = (tuple(id(channel.data) for channel in channels), axes.frame_axis, axes.position)
        frames = _known(self._frames, stack, lambda: frames_of(channels, axes))
        contrast = contrast_of(channels)
        return _known(
            self._views, (frames.token, contrast.token), lambda: View(axes, frames, contrast)
        )


class Sessions:
    """Opens a session for a view, once; workers call it, so it may load the model."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load
        self._lock = Lock()
        self._sessions: OrderedDict[View, Session] = OrderedDict()
        self._latest: Session | None = None  # may be asked while the lock is held for a load

    def of(self, view: View) -> Session:
        """Return the session of a view."""
        with self._lock:
            session: Session = _known(
                self._sessions,
                view,
                lambda: self._load().open(view.frames, contrast=view.contrast),
            )
            self._latest = session
            return session

    def known(self, view: View) -> Session | None:
        """Return the session of a view if it was opened; nobody waits for a model."""
        return self._sessions.get(view)

    @property
    def looking(self) -> Looking | None:
        """How far the model has come with an image that it looks at."""
        latest = self._latest
        return None if latest is None else latest.looking

    def stop_looking(self) -> None:
        """End looking at that image."""
        latest = self._latest
        if latest is not None:
            latest.stop_looking()

    def load_with(self, load: Callable[[], Engine]) -> None:
        """Use another engine from now on."""
        with self._lock:
            self._load = load
            self._latest = None
            self._sessions.clear()

    def forget_objects(self, object_ids: Iterable[int]) -> None:
        """Drop what the sessions remember of objects."""
        with self._lock:
            for session in self._sessions.values():
                for object_id in object_ids:
                    session.remove(object_id)


def _known(seen: OrderedDict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    """Return what was made for a key before, or make it; the oldest is dropped."""
    if key not in seen:
        seen[key] = make()
    seen.move_to_end(key)
    while len(seen) > VIEWS_KEPT:
        seen.popitem(last=False)
    return seen[key]
