"""What the dock says in words."""

from __future__ import annotations

from magicgui.widgets import Label
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy


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
