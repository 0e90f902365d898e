"""Rows, buttons and lists of the dock, and how they say why they are disabled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from magicgui.widgets import ComboBox, Container, Label, PushButton
from magicgui.widgets.bases import Widget
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QButtonGroup, QComboBox, QSizePolicy

from ..controller import Tool

HEADING_WIDTH = 72  # screen pixels, so that the controls of all panels begin in one line
ROW_SPACING = 3  # screen pixels, so that all panels fit on a small screen
SHORTEST_CHOICE = 4  # letters


def row(*widgets: Widget) -> Container[Widget]:
    """Lay widgets side by side, without labels or margins."""
    container = Container(widgets=widgets, layout="horizontal", labels=False)
    container.margins = (0, 0, 0, 0)
    return container


def column(*widgets: Widget) -> Container[Widget]:
    """Lay widgets one below the other, without labels or margins."""
    container = Container(widgets=widgets, labels=False)
    container.margins = (0, 0, 0, 0)
    container.native.layout().setSpacing(ROW_SPACING)
    return container


def heading(text: str = "") -> Label:
    """Name a row at its left edge."""
    label = Label(value=text)
    label.native.setFixedWidth(HEADING_WIDTH)
    return label


def button(text: str, tooltip: str) -> PushButton:
    """Make a button whose tooltip is one sentence."""
    return PushButton(text=text, tooltip=tooltip)


def choice(choices: Sequence[Any], tooltip: str, name: str) -> ComboBox:
    """Make a list to choose from that can be narrow however long its entries are."""
    box = ComboBox(choices=choices, nullable=not choices, tooltip=tooltip, name=name)
    box.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.native.setMinimumContentsLength(SHORTEST_CHOICE)
    return box


def allow(widget: Widget, tooltip: str, why_disabled: str) -> None:
    """Enable a widget, or disable it and say why in its tooltip."""
    widget.enabled = not why_disabled
    widget.tooltip = f"{tooltip}\n{why_disabled}" if why_disabled else tooltip
    widget.native.setToolTip(widget.tooltip)  # for the number beside a slider, too


def sentence(tooltip: str, name: str) -> Label:
    """Make a label for text, to copy from, as wide as there is room."""
    label = Label(tooltip=tooltip, name=name)
    label.native.setWordWrap(True)
    label.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.native.setSizePolicy(policy)
    return label


class ToolButtons:
    """Buttons that stay down, one for each tool that the canvas can be clicked with."""

    selected = Signal(str)

    def __init__(self, tools: Mapping[Tool, tuple[str, str]]) -> None:
        self.buttons = {tool: button(*text_and_tip) for tool, text_and_tip in tools.items()}
        self._group = QButtonGroup()
        for widget in self.buttons.values():
            widget.native.setCheckable(True)
            self._group.addButton(widget.native)
        self._group.buttonClicked.connect(self._on_button_clicked)

    def show(self, selected: Tool) -> None:
        """Show which button is down, if any."""
        self._group.setExclusive(selected in self.buttons)  # or else one is always down
        for tool, widget in self.buttons.items():
            widget.native.setChecked(tool == selected)

    def _on_button_clicked(self, clicked: object) -> None:
        for tool, widget in self.buttons.items():
            if widget.native is clicked:
                self.selected.emit(tool)


def time_text(seconds: float) -> str:
    """Return a duration in words, such as 12 s or 3 min."""
    if seconds < 99:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99 * 60 else f"{seconds / 3600:.0f} h"
