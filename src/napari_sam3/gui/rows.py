"""How controls lie in the dock: side by side, with a tooltip that also says what is in the way."""

from __future__ import annotations

from magicgui.widgets import Container, PushButton
from magicgui.widgets.bases import Widget


def row(*widgets: Widget) -> Container[Widget]:
    """Lay widgets side by side, without labels or margins."""
    container = Container(widgets=widgets, layout="horizontal", labels=False)
    container.margins = (0, 0, 0, 0)
    return container


def column(*widgets: Widget) -> Container[Widget]:
    """Lay widgets one below the other, without labels or margins."""
    container = Container(widgets=widgets, labels=False)
    container.margins = (0, 0, 0, 0)
    return container


def button(text: str, tooltip: str) -> PushButton:
    """Make a button whose tooltip is one sentence."""
    made = PushButton(text=text, tooltip=tooltip)
    made.native.setMinimumWidth(0)
    return made


def allow(widget: Widget, tooltip: str, obstacle: str) -> None:
    """Enable a widget, or disable it and say why in its tooltip."""
    widget.enabled = not obstacle
    widget.tooltip = f"{tooltip}\n{obstacle}" if obstacle else tooltip
