"""What is seen in a viewer, as the engine is to be asked about it."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine import FramesError
from .focus import Focus
from .views import View
from .works import Works


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A stack, and the frame of it that is looked at."""

    view: View
    frame: int

    @property
    def count(self) -> int:
        """Frames of the stack."""
        return self.view.axes.count


def seen(focus: Focus, works: Works) -> Seen | None:
    """Return what is seen now; None where there is nothing that can be shown to a model."""
    image, place = focus.image, focus.place
    if image is None or place is None:
        return None
    try:
        view = works.view(image, place)
    except FramesError:
        return None
    return Seen(view, view.axes.frame_of(place))
