"""Finding them all: what to look for and where, and what counts of what was found."""

from __future__ import annotations

from magicgui.widgets import Container, LineEdit
from magicgui.widgets.bases import Widget
from psygnal import Signal

from ..controller import Controller, Tool
from ..controller.finder import EXTENTS
from ..controller.finding_obstacles import FindAction, is_busy, obstacle_to
from ..controller.found_concept import FoundConcept
from ..layers.axes import data_shape
from .candidate_sliders import CandidateSliders
from .found_sentence import found_details, found_sentence
from .rows import allow, button, choice, column, heading, row
from .sentences import sentence

TOOLS: dict[Tool, tuple[str, str]] = {
    "exemplar": ("exemplar  E", "Drag a box around one of the objects; all like it are found."),
    "counterexample": ("not  \N{UPWARDS WHITE ARROW}E", "Drag a box around what is not meant."),
    "pick": ("pick  K", "Click candidates out or back in; a right click makes one an object."),
}
EVERYTHING_TIP = "Find all objects, whatever they are."
TEXT_TIP = "What to find, such as: nucleus, not debris; a semicolon begins another concept."
FIND_TIP = "Look for the text, or once more for what the boxes show, on the frames chosen below."
STOP_TIP = "Look no further; what was found is kept."
EXTENT_TIP = "Where to look: on this frame, in the part that is on screen, or on all frames."
CONCEPT_TIP = "The concept whose boxes are shown and whose candidates the sliders move."
TOLD_TIP = "What was found on this frame, and how sure the model is of it."
OBJECT_TIP = "Make an object of the candidate clicked last, to be clicked better and followed."
OBJECTS_TIP = "Make an object of every candidate that counts on this frame."
MORE_TIP = "Sizes, overlap, smoothness, and exemplars that were kept."
LIKE_TIP = "Find what is like the candidate clicked last; if it is out, nothing like it."
LIBRARY_TIP = "Keep the exemplars of this concept by a name, or use kept ones again."
REMOVE_TIP = "Forget this concept, its layer and its boxes."
NO_TEXT_TIP = "The model at work reads no text; a list of those that do opens."
NEW = "new concept"


class ConceptPanel:
    """Six rows, and more that unfold."""

    tool_chosen = Signal(str)
    text_wanted = Signal(str)
    everything_wanted = Signal()
    again_wanted = Signal()
    stop_wanted = Signal()
    extent_chosen = Signal(str)
    concept_chosen = Signal(object)  # a FoundConcept, or None for a new one
    object_wanted = Signal()
    objects_wanted = Signal()
    exemplar_wanted = Signal()
    library_wanted = Signal()
    removal_wanted = Signal()
    models_wanted = Signal()
    unfolded = Signal(bool)  # or folded again

    def __init__(self) -> None:
        self.sliders = CandidateSliders()
        self.tools = {tool: button(*face) for tool, face in TOOLS.items()}
        self.everything = button("everything", EVERYTHING_TIP)
        self.text = LineEdit(tooltip=TEXT_TIP, name="text")
        self.text.native.setPlaceholderText("nucleus, not debris")
        self.no_text = button("model reads no text …", NO_TEXT_TIP)
        self.find = button("Find", FIND_TIP)
        self.extent = choice(EXTENTS, EXTENT_TIP, "extent")
        self.concept = choice([(NEW, None)], CONCEPT_TIP, "concept")
        self.told = sentence(TOLD_TIP, "told")
        self.object = button("object", OBJECT_TIP)
        self.objects = button("all objects", OBJECTS_TIP)
        self.more = button("more", MORE_TIP)
        self.like = button("more like it", LIKE_TIP)
        self.library = button("library …", LIBRARY_TIP)
        self.remove = button("forget", REMOVE_TIP)
        self._folded = self._lay_out_more()
        self.widget: Container[Widget] = self._lay_out()
        self._connect()

    def show(self, controller: Controller) -> None:
        """Show what is looked for, what was found, and what can be done."""
        for tool, widget in self.tools.items():
            widget.native.setChecked(controller.tool == tool)
        self._show_concepts(controller)
        with self.extent.changed.blocked():
            self.extent.value = controller.finder.extent
        self.told.value = found_sentence(controller)
        self.told.tooltip = found_details(controller) or TOLD_TIP
        self._show_levels(controller)
        self._allow(controller)

    def show_text(self, text: str) -> None:
        """Show what a concept is described by."""
        self.text.value = text

    def _lay_out(self) -> Container[Widget]:
        exemplar, counterexample, pick = self.tools.values()
        return column(
            row(heading("Find all"), exemplar, counterexample, self.everything),
            row(heading("text"), self.text, self.no_text, self.find),
            row(heading("on"), self.extent, self.concept),
            row(heading("threshold"), self.sliders.threshold),
            row(heading(), self.told),
            row(heading(), pick, self.object, self.objects, self.more),
            self._folded,
        )

    def _lay_out_more(self) -> Container[Widget]:
        folded = column(
            self.sliders.widget,
            row(heading(), self.like, self.library, self.remove),
        )
        folded.visible = False
        return folded

    def _connect(self) -> None:
        for widget in (*self.tools.values(), self.more):
            widget.native.setCheckable(True)
        for tool, widget in self.tools.items():
            widget.native.clicked.connect(lambda _, tool=tool: self.tool_chosen.emit(tool))
        self.more.native.toggled.connect(self._on_more_toggled)
        self.text.native.returnPressed.connect(self._on_text_entered)
        self.find.clicked.connect(self._on_find_clicked)
        self.everything.clicked.connect(self.everything_wanted.emit)
        self.no_text.clicked.connect(self.models_wanted.emit)
        self.extent.changed.connect(self._on_extent_changed)
        self.concept.changed.connect(self._on_concept_changed)
        self.object.clicked.connect(self.object_wanted.emit)
        self.objects.clicked.connect(self.objects_wanted.emit)
        self.like.clicked.connect(self.exemplar_wanted.emit)
        self.library.clicked.connect(self.library_wanted.emit)
        self.remove.clicked.connect(self.removal_wanted.emit)

    def _show_concepts(self, controller: Controller) -> None:
        concepts = controller.finder.concepts
        choices = [(one.name, one) for one in concepts] if concepts is not None else []
        with self.concept.changed.blocked():
            self.concept.choices = [*choices, (NEW, None)]
            self.concept.value = controller.finder.current

    def _show_levels(self, controller: Controller) -> None:
        image, concept = controller.focus.image, controller.finder.current
        if image is not None and concept is not None:
            rows, cols = data_shape(image)[-2:]
            self.sliders.show(concept.levels, rows * cols)
        self.sliders.allow(obstacle_to(controller, "select"))

    def _allow(self, controller: Controller) -> None:
        busy = is_busy(controller)
        in_the_way = obstacle_to(controller, "find_text")
        self.text.visible, self.no_text.visible = not in_the_way, bool(in_the_way)
        self.find.text = "Stop" if busy else "Find"
        is_idle = in_the_way and obstacle_to(controller, "find_again")
        allow(self.find, STOP_TIP if busy else FIND_TIP, "" if busy else is_idle)
        whats: list[tuple[Widget, str, FindAction]] = [
            (self.tools["exemplar"], TOOLS["exemplar"][1], "draw_exemplar"),
            (self.tools["counterexample"], TOOLS["counterexample"][1], "draw_exemplar"),
            (self.tools["pick"], TOOLS["pick"][1], "pick"),
            (self.everything, EVERYTHING_TIP, "find_everything"),
            (self.text, TEXT_TIP, "find_text"),
            (self.object, OBJECT_TIP, "make_object"),
            (self.objects, OBJECTS_TIP, "make_objects"),
            (self.like, LIKE_TIP, "use_as_exemplar"),
            (self.library, LIBRARY_TIP, "use_library"),
            (self.remove, REMOVE_TIP, "remove_concept"),
        ]
        for widget, tip, action in whats:
            allow(widget, tip, obstacle_to(controller, action))

    def _on_more_toggled(self, is_down: bool) -> None:
        if is_down:  # others make room first, or the window would grow
            self.unfolded.emit(True)
        self._folded.visible = is_down
        if not is_down:
            self.unfolded.emit(False)

    def _on_text_entered(self) -> None:
        self.text_wanted.emit(self.text.value)

    def _on_find_clicked(self) -> None:
        if self.find.text == "Stop":
            self.stop_wanted.emit()
        elif self.text.visible and self.text.value.strip():
            self.text_wanted.emit(self.text.value)
        else:
            self.again_wanted.emit()

    def _on_extent_changed(self, extent: str) -> None:
        self.extent_chosen.emit(extent)

    def _on_concept_changed(self, concept: FoundConcept | None) -> None:
        self.concept_chosen.emit(concept)
