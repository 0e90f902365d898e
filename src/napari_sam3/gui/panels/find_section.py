"""The section of the dock that finds all objects of a kind, and what its controls do."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QWidget

from ...controller import ConceptState, Controller, why_find_disabled
from ...engine import Selection, split
from ...values import PromptError
from ..dialogs.library import LibraryDialog
from ..jobs import Clock
from .find import ConceptPanel

TOGETHER_MS = 15  # slider moves within this time are one
SETTLED_MS = 400  # after this time a slider counts as let go


class FindSection:
    """A panel, wired to the controller of one viewer.

    Parameters
    ----------
    controller : Controller
        Who finds.
    parent : QWidget
        The dock, over which windows open.
    """

    failed = Signal(str)
    told = Signal(str)  # what is good to know and no failure

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        self.panel = ConceptPanel()
        self.library = LibraryDialog(parent)
        self._controller = controller
        self._levels: Selection | None = None  # where the sliders are, until it is acted on
        self._soon = Clock.once(TOGETHER_MS, self._on_sliders_moved)
        self._settled = Clock.once(SETTLED_MS, self._on_sliders_settled)
        self._connect()

    def show(self, controller: Controller) -> None:
        """Show how things stand."""
        if self._levels is None:
            self.panel.show(controller)

    def close(self) -> None:
        """Wait for no slider any more."""
        self._soon.stop()
        self._settled.stop()

    def _connect(self) -> None:
        panel, search = self.panel, self._controller.search
        picking = self._controller.picking
        panel.tool_selected.connect(self._controller.choose_tool)
        panel.text_wanted.connect(self._on_text_wanted)
        panel.everything_wanted.connect(search.find_everything)
        panel.again_wanted.connect(search.find_again)
        panel.stop_wanted.connect(self._on_stop_wanted)
        panel.extent_selected.connect(search.choose_extent)
        panel.concept_selected.connect(self._on_concept_selected)
        panel.object_wanted.connect(picking.make_object)
        panel.objects_wanted.connect(picking.make_objects)
        panel.exemplar_wanted.connect(picking.use_as_exemplar)
        panel.removal_wanted.connect(search.remove_concept)
        panel.sliders.moved.connect(self._on_levels_wanted)
        panel.library_wanted.connect(self._on_library_wanted)
        self._connect_library()

    def _connect_library(self) -> None:
        library, keeping = self.library, self._controller.keeping
        library.name_selected.connect(self._on_name_selected)
        library.use_wanted.connect(keeping.use)
        library.removal_wanted.connect(keeping.remove)
        library.keeping_wanted.connect(keeping.keep)
        keeping.changed.connect(self._show_library)

    def _show_library(self) -> None:
        why_not = why_find_disabled(self._controller, "keep_exemplars")
        self.library.show_names(self._controller.keeping.names(), why_not)

    def _on_library_wanted(self) -> None:
        self._show_library()
        self.library.show()
        self.library.raise_()

    def _on_name_selected(self, name: str) -> None:
        self.library.show_exemplars(self._controller.keeping.exemplars(name))

    def _on_text_wanted(self, text: str) -> None:
        try:
            phrases = split(text)
        except PromptError as error:
            self.failed.emit(str(error))
            return
        engine = self._controller.works.engine
        remark = "" if engine is None else engine.remark(text)
        if remark:
            self.told.emit(remark)
        self._controller.search.find_texts([str(phrase) for phrase in phrases])

    def _on_stop_wanted(self) -> None:
        self._controller.search.stop()
        self._controller.works.stop_encoding()

    def _on_concept_selected(self, concept: ConceptState | None) -> None:
        self._controller.search.choose_concept(concept)
        self.panel.show_text("" if concept is None else concept.description.text)

    def _on_levels_wanted(self, levels: Selection) -> None:
        self._levels = levels
        self._soon.start()
        self._settled.start()

    def _on_sliders_moved(self) -> None:
        levels, self._levels = self._levels, None
        if levels is not None:
            self._controller.search.select(levels)

    def _on_sliders_settled(self) -> None:
        self._controller.search.settle()
