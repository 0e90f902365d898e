"""The dock as napari opens and closes it; what the user did in it outlives that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info
from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QApplication, QFrame, QMessageBox, QSizePolicy, QVBoxLayout, QWidget

from ..controller import Controller, why_disabled
from ..engine import Engine, shared_engine
from .canvas import Canvas
from .jobs import BackgroundJobs, Clock
from .models import FIRST, ModelChoice
from .panels.find import TOOLS as FIND_TOOLS
from .panels.find_section import FindSection
from .panels.image import ImagePanel
from .panels.model import ModelPanel
from .panels.objects import ObjectsPanel
from .panels.output import OutputPanel
from .panels.prompt import TOOLS, PromptPanel
from .panels.propagate import PropagatePanel
from .prefetch import PrefetchSchedule
from .progress import Activity, EncodingMonitor

if TYPE_CHECKING:
    import napari

WIDTH = 400
REDRAW_MS = 30  # the panels follow the controller this often, however fast masks come


class SegmentationDock(QWidget):
    """Outline objects with clicks, follow them through a stack, and keep them as labels."""

    def __init__(
        self,
        viewer: napari.viewer.Viewer,  # napari compares this text
        load: Callable[[str, str], Engine] = shared_engine,
    ) -> None:
        super().__init__()
        self.jobs = BackgroundJobs()
        self.controller = Controller(viewer, self.jobs, partial(load, FIRST, "auto"))
        self.image = ImagePanel()
        self.model = ModelPanel()
        self.models = ModelChoice(self.model, self, self.jobs, self.controller.works, load)
        self.encoding_monitor = EncodingMonitor(self.jobs, self.controller)
        self.prefetch = PrefetchSchedule(self.controller, self.jobs, self)
        self.prompt = PromptPanel()
        self.objects = ObjectsPanel()
        self.detection = FindSection(self.controller, self)
        self.output = OutputPanel()
        self.propagate = PropagatePanel()
        self._activity = Activity()
        self._redraw = Clock.once(REDRAW_MS, self.show_state)
        self._lay_out()
        self._connect()
        self._canvas = Canvas(viewer, self.controller, self._actions())
        let_go = partial(
            _let_go,
            self._canvas,
            self.prefetch,
            self.models,
            self.encoding_monitor,
            self.jobs,
            self.controller,
        )
        self.destroyed.connect(let_go)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(let_go)
        self.show_state()
        self.models.load()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take clicks and keys of the canvas while the dock can be seen."""
        self._canvas.open()
        self.prefetch.open()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Give clicks and keys of the canvas back."""
        self._canvas.close()
        self.prefetch.hide()
        super().hideEvent(event)

    def show_state(self) -> None:
        """Show in every panel how things stand."""
        focus = self.controller.focus
        self.image.show(self.controller.images, focus.image, focus.frame_axes, focus.frame_axis)
        for panel in (self.prompt, self.objects, self.output, self.propagate):
            panel.show(self.controller)
        self.prefetch.panel.show(self.controller)
        self.detection.show(self.controller)
        self._activity.show(self.controller.progress)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(_compact(self.image.widget.native))
        layout.addWidget(_compact(self.prefetch.panel.widget.native))
        for above in (self.model, self.prompt):
            layout.addWidget(_compact(above.widget.native))
            layout.addWidget(_line())
        layout.addWidget(self.objects.native, stretch=1)
        for below in (self.detection.panel, self.output, self.propagate):
            layout.addWidget(_section(below.widget.native))
        self.setMaximumWidth(WIDTH)

    def _connect(self) -> None:
        controller = self.controller
        controller.changed.connect(self._on_controller_changed)
        for part in (controller, self.detection):
            part.failed.connect(self._on_failed)
        for teller in (controller.picking, self.detection):
            teller.told.connect(self._on_told)
        self.detection.panel.unfolded.connect(self._on_more_unfolded)
        self.detection.panel.models_wanted.connect(self.model.more_wanted.emit)
        self.encoding_monitor.advanced.connect(self.models.show_encoding)
        self.encoding_monitor.advanced.connect(self._on_controller_changed)
        self.image.image_selected.connect(controller.focus.choose_image)
        self.image.axis_selected.connect(controller.focus.choose_frame_axis)
        self.prompt.tool_selected.connect(controller.choose_tool)
        self.prompt.next_hypothesis_wanted.connect(controller.show_next_hypothesis)
        self.prompt.next_object_wanted.connect(controller.start_next_object)
        self.prompt.undo_wanted.connect(controller.undo)
        self.prompt.redo_wanted.connect(controller.redo)
        self.objects.object_selected.connect(controller.select_object)
        self.objects.object_renamed.connect(controller.rename_object)
        self.objects.removal_wanted.connect(self._on_removal_wanted)
        self.output.layout_selected.connect(controller.choose_layout)
        self.output.overwriting_selected.connect(controller.choose_overwriting)
        self.propagate.run_wanted.connect(self._on_run_wanted)
        self.propagate.stop_wanted.connect(controller.stop)

    def _actions(self) -> dict[str, Callable[[], object]]:
        controller = self.controller
        return {
            **{tool: partial(controller.choose_tool, tool) for tool in (*TOOLS, *FIND_TOOLS)},
            "next_reading": controller.show_next_hypothesis,
            "next_object": controller.start_next_object,
            "undo": controller.undo,
            "redo": controller.redo,
            "run": self._on_run_wanted,
        }

    def _on_controller_changed(self) -> None:
        if not self._redraw.is_running:
            self._redraw.start()

    def _on_failed(self, message: str) -> None:
        show_error(message)

    def _on_more_unfolded(self, is_open: bool) -> None:
        """Give the room of what comes later to what is unfolded."""
        for later in (self.output, self.propagate):
            section = later.widget.native.parentWidget()
            section.setVisible(not is_open)

    def _on_told(self, message: str) -> None:
        show_info(message)

    def _on_run_wanted(self) -> None:
        in_the_way = why_disabled(self.controller, "run")
        if in_the_way:
            show_error(in_the_way)
            return
        self.controller.run(self.propagate.reach(self.controller))

    def _on_removal_wanted(self, object_id: int) -> None:
        yes = QMessageBox.StandardButton.Yes
        question = "Remove this object with its prompts and its masks on all frames?"
        if QMessageBox.question(self, "Remove object", question) == yes:
            self.controller.remove_object(object_id)


def _let_go(
    canvas: Canvas,
    prefetch: PrefetchSchedule,
    models: ModelChoice,
    encoding_monitor: EncodingMonitor,
    jobs: BackgroundJobs,
    controller: Controller,
) -> None:
    """End what a dock began, once Qt has deleted it."""
    canvas.close()
    prefetch.close()
    models.close()
    encoding_monitor.close()
    jobs.close()
    controller.close()


def _compact(panel: QWidget) -> QWidget:
    """Let a panel be no higher than it must, so that the list of objects has the room."""
    panel.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
    return panel


def _section(panel: QWidget) -> QWidget:
    """Put a line over a panel, which is shown and hidden with it."""
    section = QWidget()
    layout = QVBoxLayout(section)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    layout.addWidget(_line())
    layout.addWidget(panel)
    return _compact(section)


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line


class KeptDock(QWidget):
    """Shows the dock of a viewer.

    napari makes a new widget whenever the dock is opened, and drops it when the dock is closed.
    The dock itself belongs to the viewer: it is taken out before, and shown in the next one, with
    all objects, prompts and choices. Meanwhile it is as if it were hidden, and clicks draw nothing.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:  # napari compares this text
        super().__init__()
        self.dock = _dock_of(viewer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.dock)
        self.dock.show()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._has_window = False

    def showEvent(self, event: QShowEvent | None) -> None:
        """Let the dock end with the window, in which it may not be by then."""
        window = self.window()
        if not self._has_window and window is not None:
            window.destroyed.connect(self.dock.deleteLater)
            self._has_window = True
        super().showEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """Take the dock out when napari closes this, which it does by leaving it alone."""
        is_moved = event is not None and event.type() == QEvent.Type.ParentChange
        if is_moved and self.parent() is None and isalive(self.dock):
            self.dock.controller.works.lay_down()
            self.dock.hide()
            self.dock.setParent(None)
        return super().event(event)


_docks: dict[int, SegmentationDock] = {}
"""The dock of each viewer that has one, by the ``id`` of the viewer."""


def _dock_of(viewer: napari.viewer.Viewer) -> SegmentationDock:
    viewer = getattr(viewer, "__wrapped__", viewer)  # plugins are given a proxy, each time another
    known = _docks.get(id(viewer))
    if known is not None and isalive(known):
        return known
    made = _docks[id(viewer)] = SegmentationDock(viewer)
    made.destroyed.connect(partial(_docks.pop, id(viewer), None))
    return made
