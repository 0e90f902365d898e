"""Finding all objects of a kind: how they are described, and what was found."""

from __future__ import annotations

from magicgui.widgets import Container, LineEdit
from magicgui.widgets.bases import Widget
from psygnal import Signal

from ...controller import (
    EXTENTS,
    CandidateCount,
    ConceptState,
    Controller,
    FindAction,
    Tool,
    is_busy,
    why_find_disabled,
)
from ...engine import TEXT_IS_WEAK
from ...layers import data_shape
from ..controls import ToolButtons, allow, button, choice, column, heading, row, sentence, time_text
from .candidate_sliders import CandidateSliders

TOOLS: dict[Tool, tuple[str, str]] = {
    "exemplar": ("exemplar  E", "Drag a box around one object; all that resemble it are found."),
    "counterexample": (
        "not  \N{UPWARDS WHITE ARROW}E",
        "Drag a box around an object that should not be found.",
    ),
    "pick": ("pick  K", "Click candidates out or back in; a right click makes one an object."),
}
EVERYTHING_TIP = "Find all objects, whatever they are."
TEXT_TIP = "What to find, such as: nucleus, not debris; a semicolon begins another concept."
FIND_TIP = "Find what the text or the boxes describe, on the frames chosen below."
STOP_TIP = "Stop searching; what was found is kept."
EXTENT_TIP = "Where to search: this frame, the part of it on screen, or all frames."
CONCEPT_TIP = "The concept whose boxes are shown and whose candidates the sliders select."
FOUND_TIP = "What was found on this frame, and how sure the model is of it."
OBJECT_TIP = "Make an object of the candidate clicked last, to correct and propagate it."
OBJECTS_TIP = "Make an object of every candidate that counts on this frame."
MORE_TIP = "Sizes, overlap, smoothness, and saved exemplars."
LIKE_TIP = "Find what resembles the candidate clicked last; if it is out, nothing that does."
LIBRARY_TIP = "Save the exemplars of this concept under a name, or use saved ones."
REMOVE_TIP = "Remove this concept, its layer and its boxes."
NO_TEXT_TIP = "This model does not understand text; opens a list of those that do."
NEW = "new concept"

NO_DESCRIPTION = "Box one object, or press everything."
NOT_SEARCHED = "Not searched on this frame yet: press Find."
CHANGED = "Boxes changed: press Find."
MISSING = "Some may be missing."
BOXES_FIND_MORE = "A box finds more than text."


class ConceptPanel:
    """Six rows, and more that unfold."""

    text_wanted = Signal(str)
    again_wanted = Signal()
    stop_wanted = Signal()
    extent_selected = Signal(str)
    concept_selected = Signal(object)  # a ConceptState, or None for a new one
    unfolded = Signal(bool)  # or folded again

    def __init__(self) -> None:
        self.sliders = CandidateSliders()
        self._tools = ToolButtons(TOOLS)
        self.tools = self._tools.buttons
        self.everything = button("everything", EVERYTHING_TIP)
        self.text = LineEdit(tooltip=TEXT_TIP, name="text")
        self.text.native.setPlaceholderText("nucleus, not debris")
        self.no_text = button("model reads no text …", NO_TEXT_TIP)
        self.find = button("Find", FIND_TIP)
        self.extent = choice(EXTENTS, EXTENT_TIP, "extent")
        self.concept = choice([(NEW, None)], CONCEPT_TIP, "concept")
        self.found = sentence(FOUND_TIP, "found")
        self.object = button("object", OBJECT_TIP)
        self.objects = button("all objects", OBJECTS_TIP)
        self.more = button("more", MORE_TIP)
        self.like = button("more like it", LIKE_TIP)
        self.library = button("library …", LIBRARY_TIP)
        self.remove = button("remove", REMOVE_TIP)
        self._folded = self._lay_out_more()
        self.widget: Container[Widget] = self._lay_out()
        self.tool_selected = self._tools.selected
        self.everything_wanted = self.everything.clicked
        self.object_wanted = self.object.clicked
        self.objects_wanted = self.objects.clicked
        self.exemplar_wanted = self.like.clicked
        self.library_wanted = self.library.clicked
        self.removal_wanted = self.remove.clicked
        self.models_wanted = self.no_text.clicked
        self._connect()

    def show(self, controller: Controller) -> None:
        """Show the current concept, what was found of it, and what can be done."""
        self._tools.show(controller.tool)
        self._show_concepts(controller)
        with self.extent.changed.blocked():
            self.extent.value = controller.search.extent
        self.found.value = found_sentence(controller)
        self.found.tooltip = found_details(controller) or FOUND_TIP
        self._show_levels(controller)
        self._allow(controller)

    def show_text(self, text: str) -> None:
        """Show the text that describes a concept."""
        self.text.value = text

    def _lay_out(self) -> Container[Widget]:
        exemplar, counterexample, pick = self.tools.values()
        return column(
            row(heading("Find all"), exemplar, counterexample, self.everything),
            row(heading("text"), self.text, self.no_text, self.find),
            row(heading("on"), self.extent, self.concept),
            row(heading("threshold"), self.sliders.threshold),
            row(heading(), self.found),
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
        self.more.native.setCheckable(True)
        self.more.native.toggled.connect(self._on_more_toggled)
        self.text.native.returnPressed.connect(self._on_text_entered)
        self.find.clicked.connect(self._on_find_clicked)
        self.extent.changed.connect(self._on_extent_changed)
        self.concept.changed.connect(self._on_concept_changed)

    def _show_concepts(self, controller: Controller) -> None:
        concepts = controller.search.concepts
        choices = [] if concepts is None else [(concept.name, concept) for concept in concepts]
        with self.concept.changed.blocked():
            self.concept.choices = [*choices, (NEW, None)]
            self.concept.value = controller.search.current

    def _show_levels(self, controller: Controller) -> None:
        image, concept = controller.focus.image, controller.search.current
        if image is not None and concept is not None:
            rows, cols = data_shape(image)[-2:]
            self.sliders.show(concept.levels, rows * cols)
        self.sliders.allow(why_find_disabled(controller, "select"))

    def _allow(self, controller: Controller) -> None:
        no_text = why_find_disabled(controller, "find_text")
        self.text.visible, self.no_text.visible = not no_text, bool(no_text)
        if is_busy(controller):
            self.find.text = "Stop"
            allow(self.find, STOP_TIP, "")
        else:
            self.find.text = "Find"
            allow(self.find, FIND_TIP, no_text and why_find_disabled(controller, "find_again"))
        actions: list[tuple[Widget, str, FindAction]] = [
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
        for widget, tip, action in actions:
            allow(widget, tip, why_find_disabled(controller, action))

    def _on_more_toggled(self, is_down: bool) -> None:
        if is_down:  # first, so that other panels are hidden before the window would grow
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
        self.extent_selected.emit(extent)

    def _on_concept_changed(self, concept: ConceptState | None) -> None:
        self.concept_selected.emit(concept)


def found_sentence(controller: Controller) -> str:
    """Return in a few words what was found of the current concept on the current frame."""
    concept, candidate_count = controller.search.current, controller.search.candidate_count
    if is_busy(controller):
        return _progress_text(controller)
    if concept is None or concept.description.is_empty:
        return NO_DESCRIPTION
    if candidate_count is None:
        return NOT_SEARCHED
    counted = f"{candidate_count.shown} found, {candidate_count.below} below"
    warnings = _warnings(concept, candidate_count)
    if warnings:
        return f"{counted}. {warnings[0]}"
    picked = controller.picking.picked
    if picked is not None:
        return f"{counted}; clicked: {picked.score:.2f}, {'in' if picked.is_shown else 'out'}"
    return (
        f"{counted}, scores {_score_range(candidate_count)}" if candidate_count.scores else counted
    )


def found_details(controller: Controller) -> str:
    """Return all there is to say of what was found, a line each."""
    concept, candidate_count = controller.search.current, controller.search.candidate_count
    if concept is None or candidate_count is None:
        return ""
    lines = [f"{candidate_count.summary}."]
    if candidate_count.scores is not None:
        lines.append(f"Scores of those found: {_score_range(candidate_count)}.")
    lines.append(f"Windows searched: {candidate_count.windows}.")
    if concept.description.text:
        lines.append(TEXT_IS_WEAK)
    return "\n".join([*lines, *_warnings(concept, candidate_count)])


def _progress_text(controller: Controller) -> str:
    progress = None if controller.annotation is None else controller.annotation.detection.progress
    if progress is None:
        return "searching …"
    seconds = progress.seconds_left
    left = "" if seconds is None else f", {time_text(seconds)} left"
    return f"searching, {progress.done} of {progress.total} frames{left}"


def _score_range(candidate_count: CandidateCount) -> str:
    low, high = candidate_count.scores or (0.0, 0.0)
    return f"{low:.2f} to {high:.2f}"


def _warnings(concept: ConceptState, candidate_count: CandidateCount) -> list[str]:
    """Return what speaks against the count, the most important first."""
    description = concept.description
    is_text_alone = bool(
        description.text and not description.boxes and not description.library_exemplars
    )
    warnings = [
        (not candidate_count.is_current, CHANGED),
        (candidate_count.is_saturated, MISSING),
        (is_text_alone, BOXES_FIND_MORE),
    ]
    return [warning for applies, warning in warnings if applies]
