"""The dock: its panels, connected to the controller, and how napari opens and closes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from napari.utils.notifications import show_error, show_info
from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QApplication, QFrame, QMessageBox, QSizePolicy, QVBoxLayout, QWidget

from ..controller import DEFAULT_MODEL, Controller, Models, why_disabled
from ..engine import Engine, shared_engine
from .canvas import Canvas
from .jobs import BackgroundJobs, Clock
from .panels.concepts import TOOLS as CONCEPT_TOOLS
from .panels.image import ImagePanel
from .panels.objects import ObjectsPanel
from .panels.output import OutputPanel
from .panels.prompt import TOOLS, PromptPanel
from .panels.propagate import PropagatePanel
from .sections import ConceptSection, EncodingSection, ModelSection

if TYPE_CHECKING:
    import napari

WIDTH = 400  # screen pixels
REDRAW_MS = 30  # at least so long between two updates of the panels, however fast masks come


class SegmentationDock(QWidget):
    """Outline objects with clicks, propagate them through a stack, and keep them as labels."""

    def __init__(
        self,
        viewer: napari.viewer.Viewer,  # napari compares this text
        load: Callable[[str, str], Engine] = shared_engine,
    ) -> None:
        super().__init__()
        self.jobs = BackgroundJobs()
        self.controller = Controller(viewer, self.jobs, partial(load, DEFAULT_MODEL, "auto"))
        self.models = Models(self.controller.annotations, self.jobs, load)
        self.image = ImagePanel()
        self.encoding = EncodingSection(self.controller, self.jobs, self)
        self.model = ModelSection(self.models, self.jobs, self)
        self.prompt = PromptPanel()
        self.objects = ObjectsPanel()
        self.concepts = ConceptSection(self.controller, self)
        self.output = OutputPanel()
        self.propagate = PropagatePanel()
        self._redraw = Clock.once(REDRAW_MS, self.show_state)
        self._lay_out()
        self._connect()
        self._canvas = Canvas(viewer, self.controller, self._actions())
        self._close_at_end()
        self.show_state()
        self.models.load()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take clicks and keys of the canvas while the dock is visible."""
        self._canvas.open()
        self.encoding.open()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Leave clicks and keys of the canvas to napari."""
        self._canvas.close()
        self.encoding.hide()
        super().hideEvent(event)

    def show_state(self) -> None:
        """Show the state of the controller in every panel."""
        focus = self.controller.focus
        self.image.show(self.controller.images, focus.image, focus.frame_axes, focus.frame_axis)
        for panel in (self.encoding.panel, self.prompt, self.objects, self.output, self.propagate):
            panel.show(self.controller)
        self.concepts.show(self.controller)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(_compact(self.image.widget.native))
        layout.addWidget(_compact(self.encoding.panel.widget.native))
        for upper in (self.model.panel, self.prompt):
            layout.addWidget(_compact(upper.widget.native))
            layout.addWidget(_line())
        layout.addWidget(self.objects.native, stretch=1)
        for lower in (self.concepts.panel, self.output, self.propagate):
            layout.addWidget(_with_line(lower.widget.native))
        self.setMaximumWidth(WIDTH)

    def _connect(self) -> None:
        controller = self.controller
        controller.changed.connect(self._on_controller_changed)
        for failed in (controller.failed, self.concepts.failed):
            failed.connect(self._on_failed)
        for told in (controller.picking.told, self.concepts.told):
            told.connect(self._on_told)
        self.model.changed.connect(self._on_controller_changed)
        self.concepts.panel.unfolded.connect(self._on_concepts_unfolded)
        self.concepts.panel.models_wanted.connect(self.model.open_dialog)
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

    def _close_at_end(self) -> None:
        """Let all that outlives a widget be closed with this one, or with the application."""
        self._parts = (
            self._canvas,
            self.encoding,
            self.model,
            self.concepts,
            self.jobs,
            self.controller,
        )
        self.destroyed.connect(partial(_close, self._parts))
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._on_about_to_quit)

    def _actions(self) -> dict[str, Callable[[], object]]:
        controller = self.controller
        return {
            **{tool: partial(controller.choose_tool, tool) for tool in (*TOOLS, *CONCEPT_TOOLS)},
            "next_hypothesis": controller.show_next_hypothesis,
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

    def _on_concepts_unfolded(self, is_open: bool) -> None:
        """Hide the panels below what is unfolded, so that the dock does not grow."""
        for lower in (self.output, self.propagate):
            section = lower.widget.native.parentWidget()
            section.setVisible(not is_open)

    def _on_told(self, message: str) -> None:
        show_info(message)

    def _on_run_wanted(self) -> None:
        reason = why_disabled(self.controller, "run")
        if reason:
            show_error(reason)
            return
        self.controller.run(self.propagate.reach(self.controller))

    def _on_removal_wanted(self, object_id: int) -> None:
        yes = QMessageBox.StandardButton.Yes
        terms = "Remove this object with its prompts and its masks on all frames?"
        if QMessageBox.question(self, "Remove object", terms) == yes:
            self.controller.remove_object(object_id)

    def _on_about_to_quit(self) -> None:
        _close(self._parts)


class _Part(Protocol):
    def close(self) -> None: ...


def _close(parts: tuple[_Part, ...], _: object = None) -> None:
    """Close the parts of a dock, which Qt may have deleted."""
    for part in parts:
        part.close()


def _compact(panel: QWidget) -> QWidget:
    """Let a panel be no higher than it must, so that the list of objects gets the space."""
    panel.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
    return panel


def _with_line(panel: QWidget) -> QWidget:
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
    """Contains the dock of a viewer, which stays when napari closes this widget.

    napari makes a new widget whenever the dock is opened, and drops it when the dock is closed.
    The dock itself belongs to the viewer: it is taken out before, and shown in the next widget,
    with all objects, prompts and choices. Meanwhile it is hidden, and clicks draw nothing.
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
        """Let the dock end with the window, even if it was taken out before."""
        window = self.window()
        if not self._has_window and window is not None:
            window.destroyed.connect(self.dock.deleteLater)
            self._has_window = True
        super().showEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """Take the dock out when napari closes this, which it does by leaving it alone."""
        is_moved = event is not None and event.type() == QEvent.Type.ParentChange
        if is_moved and self.parent() is None and isalive(self.dock):
            self.dock.controller.annotations.lay_down()
            self.dock.hide()
            self.dock.setParent(None)
        return super().event(event)


_docks: dict[int, SegmentationDock] = {}
"""The dock of each viewer that has one, by the ``id`` of the viewer."""


def _dock_of(viewer: napari.viewer.Viewer) -> SegmentationDock:
    viewer = getattr(viewer, "__wrapped__", viewer)  # plugins are given a new proxy each time
    dock = _docks.get(id(viewer))
    if dock is not None and isalive(dock):
        return dock
    dock = _docks[id(viewer)] = SegmentationDock(viewer)
    dock.destroyed.connect(partial(_docks.pop, id(viewer), None))
    return dock
