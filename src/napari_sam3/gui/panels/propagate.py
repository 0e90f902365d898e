"""How far objects are propagated, and how far that has come."""

from __future__ import annotations

from magicgui.widgets import Container, Label, ProgressBar, SpinBox
from magicgui.widgets.bases import Widget
from napari.utils import progress

from ...controller import Controller, Direction, Progress, Reach, why_disabled
from ..controls import allow, button, choice, column, heading, row

DIRECTIONS: tuple[Direction, ...] = ("both", "forward", "backward")
ALL_OBJECTS, CURRENT_OBJECT = "all objects", "current object"
DIRECTION_TIP = "Propagate from the prompted frames to the end, to the beginning, or to both."
OBJECTS_TIP = "Propagate every object that is prompted in this stack, or only the current one."
RANGE_TIP = "The first and the last frame to propagate through."
RUN_TIP = "Outline the objects on the other frames; you can go on clicking meanwhile."
STOP_TIP = "End the propagation, or an encoding that takes long; what is done is kept."


class PropagatePanel:
    """The reach of a run, its buttons and its progress."""

    def __init__(self) -> None:
        self.direction = choice(DIRECTIONS, DIRECTION_TIP, "direction")
        self.objects = choice((ALL_OBJECTS, CURRENT_OBJECT), OBJECTS_TIP, "objects")
        self.first = SpinBox(value=0, min=0, max=0, tooltip=RANGE_TIP, name="first")
        self.last = SpinBox(value=0, min=0, max=0, tooltip=RANGE_TIP, name="last")
        self.run = button("Run  G", RUN_TIP)
        self.stop = button("Stop", STOP_TIP)
        self.progress = ProgressBar(value=0, min=0, max=1, tooltip="Masks done in this run.")
        self.widget: Container[Widget] = column(
            row(heading("Propagate"), self.direction, self.objects),
            row(heading("frames"), self.first, Label(value="to"), self.last),
            row(heading(), self.run, self.stop),
            self.progress,
        )
        self._stack: object = None
        self._activity = _Activity()
        self.run_wanted = self.run.clicked
        self.stop_wanted = self.stop.clicked

    def reach(self, controller: Controller) -> Reach:
        """Return which objects are to be propagated how far."""
        object_ids = set(controller.starts)
        if self.objects.value == CURRENT_OBJECT and controller.current is not None:
            object_ids &= {controller.current.id}
        first, last = sorted((self.first.value, self.last.value))
        return Reach(self.direction.value, first, last, frozenset(object_ids))

    def show(self, controller: Controller) -> None:
        """Show the range of the current stack, and what can be done."""
        axes = controller.focus.axes
        last = 0 if axes is None else axes.count - 1
        stack = (controller.focus.image, controller.focus.frame_axis, last)
        if axes is not None and stack != self._stack:
            self._stack = stack
            for box, value in ((self.first, 0), (self.last, last)):
                box.max = last
                box.value = value
        allow(self.run, RUN_TIP, why_disabled(controller, "run"))
        allow(self.stop, STOP_TIP, why_disabled(controller, "stop"))
        self._show_progress(controller.progress)
        self._activity.show(controller.progress)

    def _show_progress(self, run: Progress | None) -> None:
        self.progress.visible = run is not None
        if run is None:
            return
        left = "" if run.seconds_left is None else f", {run.seconds_left:.0f} s left"
        self.progress.max = max(run.total, 1)
        self.progress.value = run.done
        self.progress.native.setFormat(f"{run.done} of {run.total} masks{left}")


class _Activity:
    """The bar of a run in napari's activity dock."""

    def __init__(self) -> None:
        self._bar: progress | None = None

    def show(self, run: Progress | None) -> None:
        """Show how far a run has come, or no bar where there is none."""
        if run is None:
            self._remove()
            return
        if self._bar is None:
            self._bar = progress(total=run.total, desc="Propagating objects")
        self._bar.update(run.done - self._bar.n)

    def _remove(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
