"""How controls lie in the dock, and how they say what is in their way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magicgui.widgets import ComboBox, Container, Label, PushButton
from magicgui.widgets.bases import Widget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QSizePolicy

HEADING_WIDTH = 72  # screen pixels, so that the controls of all panels begin in one line
BETWEEN_ROWS = 3  # screen pixels, so that all panels are seen on a small screen
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
    container.native.layout().setSpacing(BETWEEN_ROWS)
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


def time_text(seconds: float) -> str:
    """Say how long something takes."""
    if seconds < 99:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99 * 60 else f"{seconds / 3600:.0f} h"


def size_text(count: int) -> str:
    """Say how much a number of bytes is."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
