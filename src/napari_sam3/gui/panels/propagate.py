"""How far objects are followed, and how far that has come."""

from __future__ import annotations

from magicgui.widgets import Container, Label, ProgressBar, SpinBox
from magicgui.widgets.bases import Widget
from psygnal import Signal

from ...controller import Controller, Direction, Progress, Reach, why_disabled
from ..controls import allow, button, choice, column, heading, row

DIRECTIONS: tuple[Direction, ...] = ("both", "forward", "backward")
WHOM = ("all objects", "current object")
DIRECTION_TIP = "Follow from the prompted frames to the end, to the beginning, or to both."
WHOM_TIP = "Follow every object that was prompted in this stack, or only the current one."
RANGE_TIP = "The frames to follow through, the last one included."
RUN_TIP = "Follow the objects through the stack; you can go on clicking meanwhile."
STOP_TIP = "End following, or looking at an image that takes long; what is done is kept."


class PropagatePanel:
    """The reach of a run, its buttons and its progress."""

    run_wanted = Signal()
    stop_wanted = Signal()

    def __init__(self) -> None:
        self.direction = choice(DIRECTIONS, DIRECTION_TIP, "direction")
        self.whom = choice(WHOM, WHOM_TIP, "whom")
        self.first = SpinBox(value=0, min=0, max=0, tooltip=RANGE_TIP, name="first")
        self.last = SpinBox(value=0, min=0, max=0, tooltip=RANGE_TIP, name="last")
        self.run = button("Run  G", RUN_TIP)
        self.stop = button("Stop", STOP_TIP)
        self.progress = ProgressBar(value=0, min=0, max=1, tooltip="Masks done in this run.")
        self.widget: Container[Widget] = column(
            row(heading("Propagate"), self.direction, self.whom),
            row(heading("frames"), self.first, Label(value="to"), self.last),
            row(heading(), self.run, self.stop),
            self.progress,
        )
        self._stack: object = None
        self.run.clicked.connect(self.run_wanted.emit)
        self.stop.clicked.connect(self.stop_wanted.emit)

    def reach(self, controller: Controller) -> Reach:
        """Return what is to be followed how far."""
        starts = controller.starts
        chosen = set(starts)
        if self.whom.value == WHOM[1] and controller.current is not None:
            chosen &= {controller.current.id}
        first, last = sorted((self.first.value, self.last.value))
        return Reach(self.direction.value, first, last, frozenset(chosen))

    def show(self, controller: Controller) -> None:
        """Show the range of the stack that is looked at, and what can be done."""
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

    def _show_progress(self, run: Progress | None) -> None:
        self.progress.visible = run is not None
        if run is None:
            return
        left = "" if run.seconds_left is None else f", {run.seconds_left:.0f} s left"
        self.progress.max = max(run.total, 1)
        self.progress.value = run.done
        self.progress.native.setFormat(f"{run.done} of {run.total} masks{left}")
