"""When frames are embedded ahead, and where that is to be seen."""

from __future__ import annotations

from napari.utils.notifications import show_error, show_warning
from qtpy.compat import isalive
from qtpy.QtWidgets import QMessageBox, QVBoxLayout, QWidget

from ..controller import Controller
from .clock import Clock
from .encode_panel import EncodePanel
from .frame_strip import FrameStrip
from .jobs import BackgroundJobs
from .sentences import size_text

REST_MS = 300  # without a move or a prompt; then the neighbours are looked at
LOOK_MS = 200  # how often frames are looked up while something changes
BELOW_IMAGE = 1  # where the strip lies in the dock of a window without sliders


class LookingAhead:
    """The row of the dock, the strip at the slider, and the clocks behind both."""

    def __init__(self, controller: Controller, jobs: BackgroundJobs, dock: QWidget) -> None:
        self._controller = controller
        self._jobs = jobs
        self._dock = dock
        self._is_open = False
        self._told = ""  # the trouble with the disk that the user knows about
        self.panel = EncodePanel()
        self.strip = FrameStrip(controller)
        self._rest = Clock.once(REST_MS, controller.ahead.look_around)
        self._clock = Clock.every(LOOK_MS, self._look)
        self.panel.pressed.connect(self._on_pressed)
        controller.ahead.neighbours.disturbed.connect(self._on_disturbed)
        controller.changed.connect(self._on_changed)
        jobs.began.connect(self._on_changed)

    def open(self) -> None:
        """Show the strip; called when the dock is shown."""
        self._is_open = True
        window = self._dock.window()
        if window is not None and not self.strip.is_at_slider:
            self.strip.settle(window)
        layout = self._dock.layout()
        if not self.strip.is_at_slider and isinstance(layout, QVBoxLayout):
            layout.insertWidget(BELOW_IMAGE, self.strip)
        self._on_changed()

    def hide(self) -> None:
        """Let nothing begin any more while the dock is hidden; what was asked for goes on."""
        self._is_open = False
        self._rest.stop()
        self._clock.stop()
        self._controller.ahead.neighbours.stop()
        if isalive(self.strip):
            self.strip.hide()

    def close(self) -> None:
        """Leave the window, which may be gone."""
        self._is_open = False
        self._rest.stop()
        self._clock.stop()
        if isalive(self.strip):
            self.strip.leave()

    def _look(self) -> None:
        readiness = self._controller.ahead.readiness
        readiness.look()
        self.strip.show_state()
        self.panel.show(self._controller)
        self._tell(self._controller.ahead.trouble)
        if readiness.is_settled and not self._jobs.is_busy:
            self._clock.stop()

    def _tell(self, trouble: str) -> None:
        """Say once that nothing is kept on disk, and again only after it was kept meanwhile."""
        if trouble and trouble != self._told:
            show_warning(trouble)
        self._told = trouble

    def _on_changed(self) -> None:
        self._controller.ahead.readiness.unsettle()
        if self._is_open and not self._clock.is_running:
            self._clock.start()

    def _on_disturbed(self) -> None:
        if self._is_open:
            self._rest.start()

    def _on_pressed(self) -> None:
        ahead = self._controller.ahead
        if ahead.stack.state == "running":
            ahead.stack.pause()
            return
        outlook, fitting = ahead.stack.outlook, ahead.stack.fitting
        if outlook is None or fitting is None or fitting >= outlook.left:
            ahead.encode_stack()
            return
        needed = size_text(outlook.nbytes or 0)
        if not fitting:
            show_error(
                f"All {outlook.count} frames take {needed}, and there is no room for more of "
                "them: free some memory or space on the disk."
            )
        elif self._agrees(f"All {outlook.count} frames take {needed}.", fitting):
            ahead.encode_stack(fitting)

    def _agrees(self, reason: str, fitting: int) -> bool:
        question = f"{reason} There is room for {fitting} more: encode those, from this one on?"
        answer = QMessageBox.question(self._dock, "Encode stack", question)
        return bool(answer == QMessageBox.StandardButton.Yes)
