"""Finding them all: what to look for and where, and what counts of what was found."""

from __future__ import annotations

from math import inf

from magicgui.widgets import CheckBox, Container, FloatSlider, Label, LineEdit, RangeSlider, Slider
from magicgui.widgets.bases import ValueWidget, Widget
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
from ...engine import TEXT_IS_WEAK, Selection
from ...layers import data_shape
from ..controls import allow, button, choice, column, heading, row, sentence, time_text

NOTHING_ASKED = "Box one object, or press everything."
NOT_HERE = "Not looked for on this frame yet: press Find."
CHANGED = "Boxes changed: press Find."
MISSING = "Some may be missing."
BOXES_FIND_MORE = "A box finds more than text."


def found_sentence(controller: Controller) -> str:
    """Say in a few words what was found of the current concept on the frame looked at."""
    concept, tally = controller.search.current, controller.search.tally
    if is_busy(controller):
        return _under_way(controller)
    if concept is None or concept.description.is_empty:
        return NOTHING_ASKED
    if tally is None:
        return NOT_HERE
    counted = f"{tally.shown} found, {tally.below} below"
    warnings = _warnings(concept, tally)
    if warnings:
        return f"{counted}. {warnings[0]}"
    picked = controller.picking.picked
    if picked is not None:
        return f"{counted}; clicked: {picked.score:.2f}, {'in' if picked.is_shown else 'out'}"
    return f"{counted}, scores {_span(tally)}" if tally.scores else counted


def found_details(controller: Controller) -> str:
    """Say all that there is to say of what was found, a line each."""
    concept, tally = controller.search.current, controller.search.tally
    if concept is None or tally is None:
        return ""
    lines = [f"{tally.told}."]
    if tally.scores is not None:
        lines.append(f"Scores of those found: {_span(tally)}.")
    lines.append(f"Windows looked at: {tally.windows}.")
    if concept.description.text:
        lines.append(TEXT_IS_WEAK)
    return "\n".join([*lines, *_warnings(concept, tally)])


def _under_way(controller: Controller) -> str:
    progress = None if controller.work is None else controller.work.detection.progress
    if progress is None:
        return "looking …"
    left = progress.seconds_left
    waiting = "" if left is None else f", {time_text(left)} left"
    return f"looking, {progress.done} of {progress.total} frames{waiting}"


def _span(tally: CandidateCount) -> str:
    low, high = tally.scores or (0.0, 0.0)
    return f"{low:.2f} to {high:.2f}"


def _warnings(concept: ConceptState, tally: CandidateCount) -> list[str]:
    """Say what stands against the count, in the order of weight."""
    asked = concept.description
    by_text_alone = bool(asked.text) and not asked.boxes and not asked.borrowed
    warnings = [
        (not tally.is_current, CHANGED),
        (tally.is_saturated, MISSING),
        (by_text_alone, BOXES_FIND_MORE),
    ]
    return [warning for applies, warning in warnings if applies]


THRESHOLD_TIP = "The lowest score of a candidate that counts; the model is not asked again."
SIZE_TIP = "The smallest and the largest area of a candidate that counts."
OVERLAP_TIP = "How much of a candidate better ones may cover, before it is left out."
BORDER_TIP = "Whether objects count that the border of the image cuts."
SMOOTHNESS_TIP = "How smooth outlines are, from raw (0) to smooth (5); holes and islands go too."
STEPS = 100  # of the slider of sizes


class CandidateSliders:
    """The sliders of one concept; `threshold` stands by itself, the others in `widget`."""

    moved = Signal(object)  # a Selection without picks

    def __init__(self) -> None:
        self.threshold = FloatSlider(
            value=0.5, min=0, max=1, step=0.01, tooltip=THRESHOLD_TIP, name="threshold"
        )
        self.size = RangeSlider(
            value=(0, STEPS), min=0, max=STEPS, tooltip=SIZE_TIP, readout=False, name="size"
        )
        bare = self.size.native  # its labels would count steps
        bare.setEdgeLabelMode(bare.EdgeLabelMode.NoLabel)
        bare.setHandleLabelPosition(bare.LabelPosition.NoLabel)
        self.size_told = Label(value="", tooltip=SIZE_TIP)
        self.overlap = FloatSlider(
            value=0.5, min=0, max=1, step=0.05, tooltip=OVERLAP_TIP, name="overlap"
        )
        self.border = CheckBox(
            value=True, text="at the border too", tooltip=BORDER_TIP, name="border"
        )
        self.smoothness = Slider(value=0, min=0, max=5, tooltip=SMOOTHNESS_TIP, name="smoothness")
        self.widget: Container[Widget] = column(
            row(heading("size"), self.size, self.size_told),
            row(heading("overlap"), self.overlap),
            row(heading("smooth"), self.smoothness, self.border),
        )
        self._pixels = 2  # of a frame
        for control in self._controls:
            control.changed.connect(self._on_moved)

    @property
    def levels(self) -> Selection:
        """Where the sliders stand."""
        low, high = self.size.value
        return Selection(
            threshold=self.threshold.value,
            smallest=self._area(low) if low else 0,
            largest=self._area(high) if high < STEPS else inf,
            overlap=self.overlap.value,
            keeps_border=self.border.value,
            smoothness=self.smoothness.value,
        )

    def show(self, levels: Selection, pixels: int) -> None:
        """Show the levels of a concept on frames of so many pixels."""
        is_moving = levels == self.levels and pixels == self._pixels
        self._pixels = pixels
        if not is_moving:
            self._set(levels)
        self._tell_size(levels)

    def allow(self, in_the_way: str) -> None:
        """Enable all sliders, or say why not."""
        tips = (THRESHOLD_TIP, SIZE_TIP, OVERLAP_TIP, BORDER_TIP, SMOOTHNESS_TIP)
        for control, tip in zip(self._controls, tips, strict=True):
            allow(control, tip, in_the_way)

    @property
    def _controls(self) -> tuple[ValueWidget, ...]:
        return self.threshold, self.size, self.overlap, self.border, self.smoothness

    def _set(self, levels: Selection) -> None:
        values = (
            levels.threshold,
            (self._step(levels.smallest, 0), self._step(levels.largest, STEPS)),
            levels.overlap,
            levels.keeps_border,
            levels.smoothness,
        )
        for control, value in zip(self._controls, values, strict=True):
            with control.changed.blocked():
                control.value = value

    def _area(self, step: float) -> float:
        """Return the area at a step; each is larger than the one before by the same share."""
        return float(round(self._pixels ** (step / STEPS)))

    def _step(self, area: float, otherwise: int) -> int:
        """Return the step of an area, or another one where every area will do."""
        if not 0 < area < inf:
            return otherwise
        return min(range(STEPS + 1), key=lambda step: abs(self._area(step) - area))

    def _tell_size(self, levels: Selection) -> None:
        low = f"{levels.smallest:.0f}"
        high = "any" if levels.largest == inf else f"{levels.largest:.0f}"
        is_any = levels.smallest == 0 and levels.largest == inf
        self.size_told.value = "any" if is_any else f"{low} to {high} px"

    def _on_moved(self) -> None:
        self._tell_size(self.levels)
        self.moved.emit(self.levels)


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

    tool_selected = Signal(str)
    text_wanted = Signal(str)
    everything_wanted = Signal()
    again_wanted = Signal()
    stop_wanted = Signal()
    extent_selected = Signal(str)
    concept_selected = Signal(object)  # a FoundConcept, or None for a new one
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
            self.extent.value = controller.search.extent
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
            widget.native.clicked.connect(lambda _, tool=tool: self.tool_selected.emit(tool))
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
        concepts = controller.search.concepts
        choices = [(one.name, one) for one in concepts] if concepts is not None else []
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
        busy = is_busy(controller)
        in_the_way = why_find_disabled(controller, "find_text")
        self.text.visible, self.no_text.visible = not in_the_way, bool(in_the_way)
        self.find.text = "Stop" if busy else "Find"
        is_idle = in_the_way and why_find_disabled(controller, "find_again")
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
            allow(widget, tip, why_find_disabled(controller, action))

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
        self.extent_selected.emit(extent)

    def _on_concept_changed(self, concept: ConceptState | None) -> None:
        self.concept_selected.emit(concept)
