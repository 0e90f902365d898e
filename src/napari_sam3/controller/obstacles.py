"""Why something cannot be done now, in a sentence for the user."""

from __future__ import annotations

from typing import Literal

from .controller import Controller

Action = Literal[
    "prompt",
    "next_reading",
    "next_object",
    "undo",
    "redo",
    "remove",
    "run",
    "stop",
    "change_layout",
]
NO_IMAGE = "There is no image yet: open one, or take one of File > Open Sample."
NO_OBJECT = "No object is outlined yet: click one in the image first."


def obstacle(controller: Controller, action: Action) -> str:
    """Return why an action is not possible now; empty where it is."""
    if controller.focus.image is None:
        return NO_IMAGE
    match action:
        case "prompt":
            return _to_prompting(controller)
        case "next_reading":
            return (
                "" if _has_readings(controller) else "Click an object first; then try its readings."
            )
        case "undo" | "redo":
            return _to_history(controller, action)
        case "remove":
            return "" if controller.work is not None else NO_OBJECT
        case "run":
            return _to_running(controller)
        case "stop":
            return _to_stopping(controller)
        case "change_layout":
            return "Stop following first." if controller.is_running else ""
        case "next_object":
            return "" if controller.work is not None else NO_OBJECT


def hint(controller: Controller) -> str:
    """Return what to do next on a frame where the current object is not prompted."""
    if controller.focus.image is None:
        return "Open an image first."
    if controller.reading is not None:
        return ""
    score = controller.score_here
    if score is not None:
        return f"followed, score {score:.2f}"
    return "Click an object in the image."


def _to_prompting(controller: Controller) -> str:
    if controller.viewer.dims.ndisplay == 3:
        return "Prompts are drawn in 2-D: switch the view back with the 2D/3D button below."
    if not controller.focus.shows_frame:
        return "Prompts are drawn on rows and columns: roll the axes back with the button below."
    return ""


def _to_stopping(controller: Controller) -> str:
    if controller.is_running or controller.looking is not None:
        return ""
    return "Nothing is being followed."


def _has_readings(controller: Controller) -> bool:
    return controller.reading is not None and controller.reading.count > 1


def _to_history(controller: Controller, action: str) -> str:
    history = None if controller.work is None else controller.work.workspace.history
    if history is not None and (history.can_undo if action == "undo" else history.can_redo):
        return ""
    return f"There is nothing to {action}."


def _to_running(controller: Controller) -> str:
    axes = controller.focus.axes
    if controller.is_running:
        return "Objects are being followed already: stop that first."
    if axes is None or axes.count < 2:
        return "The image has one frame: there is nothing to follow an object through."
    if controller.work is None or not controller.work.propagation.starts(axes):
        return NO_OBJECT
    return ""
