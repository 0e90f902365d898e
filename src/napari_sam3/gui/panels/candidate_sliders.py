"""The sliders that decide which candidates of a concept count."""

from __future__ import annotations

from math import inf

from magicgui.widgets import CheckBox, Container, FloatSlider, Label, RangeSlider, Slider
from magicgui.widgets.bases import ValueWidget, Widget
from psygnal import Signal

from ...engine import Selection
from ..controls import allow, column, heading, row

THRESHOLD_TIP = "The lowest score of a candidate that counts; the model does not run again."
SIZE_TIP = "The smallest and the largest area of a candidate that counts."
OVERLAP_TIP = "How much of a candidate better ones may overlap, before it is left out."
BORDER_TIP = "Whether objects count that the border of the image cuts."
SMOOTHNESS_TIP = "How smooth outlines are, from raw (0) to smooth (5); holes and islands go too."
SIZE_STEPS = 100


class CandidateSliders:
    """The sliders of one concept; `threshold` stands by itself, the others in `widget`."""

    moved = Signal(object)  # a Selection without picks

    def __init__(self) -> None:
        self.threshold = FloatSlider(
            value=0.5, min=0, max=1, step=0.01, tooltip=THRESHOLD_TIP, name="threshold"
        )
        self.size = RangeSlider(
            value=(0, SIZE_STEPS),
            min=0,
            max=SIZE_STEPS,
            tooltip=SIZE_TIP,
            readout=False,
            name="size",
        )
        bare = self.size.native  # its labels would count steps
        bare.setEdgeLabelMode(bare.EdgeLabelMode.NoLabel)
        bare.setHandleLabelPosition(bare.LabelPosition.NoLabel)
        self.size_label = Label(value="", tooltip=SIZE_TIP)
        self.overlap = FloatSlider(
            value=0.5, min=0, max=1, step=0.05, tooltip=OVERLAP_TIP, name="overlap"
        )
        self.border = CheckBox(
            value=True, text="at the border too", tooltip=BORDER_TIP, name="border"
        )
        self.smoothness = Slider(value=0, min=0, max=5, tooltip=SMOOTHNESS_TIP, name="smoothness")
        self.widget: Container[Widget] = column(
            row(heading("size"), self.size, self.size_label),
            row(heading("overlap"), self.overlap),
            row(heading("smooth"), self.smoothness, self.border),
        )
        self._pixels = 2  # of a frame
        for control in self._controls:
            control.changed.connect(self._on_control_changed)

    @property
    def levels(self) -> Selection:
        """What the sliders select."""
        low, high = self.size.value
        return Selection(
            threshold=self.threshold.value,
            smallest=self._area(low) if low else 0,
            largest=self._area(high) if high < SIZE_STEPS else inf,
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
        self._show_size(levels)

    def allow(self, why_disabled: str) -> None:
        """Enable all sliders, or say why not."""
        tips = (THRESHOLD_TIP, SIZE_TIP, OVERLAP_TIP, BORDER_TIP, SMOOTHNESS_TIP)
        for control, tip in zip(self._controls, tips, strict=True):
            allow(control, tip, why_disabled)

    @property
    def _controls(self) -> tuple[ValueWidget, ...]:
        return self.threshold, self.size, self.overlap, self.border, self.smoothness

    def _set(self, levels: Selection) -> None:
        values = (
            levels.threshold,
            (self._step(levels.smallest, 0), self._step(levels.largest, SIZE_STEPS)),
            levels.overlap,
            levels.keeps_border,
            levels.smoothness,
        )
        for control, value in zip(self._controls, values, strict=True):
            with control.changed.blocked():
                control.value = value

    def _area(self, step: float) -> float:
        """Return the area at a step; each is larger than the one before by the same share."""
        return float(round(self._pixels ** (step / SIZE_STEPS)))

    def _step(self, area: float, unlimited: int) -> int:
        """Return the step of an area, or the step of an unlimited one."""
        if not 0 < area < inf:
            return unlimited
        return min(range(SIZE_STEPS + 1), key=lambda step: abs(self._area(step) - area))

    def _show_size(self, levels: Selection) -> None:
        low = f"{levels.smallest:.0f}"
        high = "any" if levels.largest == inf else f"{levels.largest:.0f}"
        is_any = levels.smallest == 0 and levels.largest == inf
        self.size_label.value = "any" if is_any else f"{low} to {high} px"

    def _on_control_changed(self) -> None:
        self._show_size(self.levels)
        self.moved.emit(self.levels)
