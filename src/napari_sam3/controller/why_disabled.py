"""Why something cannot be done now, in a sentence for the user."""

from __future__ import annotations

from typing import Literal

from .controller import Controller
from .models import Models

Action = Literal[
    "prompt",
    "next_hypothesis",
    "next_object",
    "undo",
    "redo",
    "remove",
    "run",
    "stop",
    "change_layout",
]
FindAction = Literal[
    "draw_exemplar",
    "find_text",
    "find_everything",
    "find_again",
    "select",
    "pick",
    "make_object",
    "make_objects",
    "use_as_exemplar",
    "use_library",
    "keep_exemplars",
    "remove_concept",
]
ModelAction = Literal["use", "download", "stop"]

NO_IMAGE = "There is no image yet: open one, or take one of File > Open Sample."
NO_OBJECT = "No object is outlined yet: click one in the image first."
NOT_SEARCHED = "This frame was not searched yet: draw a box around an object first."
NO_TEXT = "The model reads no text: draw a box around an object, or choose a model that does."
NO_EXEMPLARS = "The model finds nothing by exemplars: choose the embedded model or SAM 3."
NOTHING_CLICKED = "Click a candidate first: choose pick, then click one in the image."


def why_disabled(controller: Controller, action: Action) -> str:
    """Return why an action is not possible now; empty where it is."""
    if controller.focus.image is None:
        return NO_IMAGE
    match action:
        case "prompt":
            return _why_no_prompt(controller)
        case "next_hypothesis":
            return _why_no_next_hypothesis(controller)
        case "undo" | "redo":
            return _why_no_history(controller, action)
        case "run":
            return _why_no_run(controller)
        case "stop":
            return _why_no_stop(controller)
        case "change_layout":
            return "Stop the propagation first." if controller.is_running else ""
        case "next_object" | "remove":
            return "" if controller.annotation is not None else NO_OBJECT


def why_find_disabled(controller: Controller, action: FindAction) -> str:
    """Return why an action on concepts is not possible now; empty where it is."""
    if controller.focus.image is None:
        return NO_IMAGE
    match action:
        case "draw_exemplar":
            return why_disabled(controller, "prompt") or _why_no_exemplars(controller)
        case "find_text":
            engine = controller.annotations.engine
            return "" if engine is None or engine.reads_text else NO_TEXT
        case "find_again":
            return _why_not_again(controller)
        case "use_library":
            return _why_no_exemplars(controller)
        case "remove_concept":
            return "" if controller.search.current is not None else "There is no concept yet."
        case "keep_exemplars":
            return _why_nothing_to_keep(controller)
        case "select" | "pick" | "make_object" | "make_objects" | "use_as_exemplar":
            return _why_no_candidates(controller, action)
        case "find_everything":
            return ""


def why_model_disabled(models: Models, model: str, action: ModelAction) -> str:
    """Return why an action on a known model is not possible now; empty where it is."""
    is_here = model in (models.on_this_computer or ())
    match action:
        case "use":
            return "" if is_here else "It is not on this computer."
        case "download":
            if is_here:
                return "It is on this computer."
            return "Wait until the other model is here." if models.transfers.is_busy else ""
        case "stop":
            return "" if models.transfers.is_busy else "Nothing is being downloaded or converted."


def hint(controller: Controller) -> str:
    """Return what to do next on a frame where the current object is not prompted."""
    if controller.focus.image is None:
        return "Open an image first."
    if controller.hypothesis is not None:
        return ""
    score = controller.score_here
    if score is not None:
        return f"propagated, score {score:.2f}"
    return "Click an object in the image."


def is_busy(controller: Controller) -> bool:
    """Return whether the current image is being searched for a concept."""
    return controller.annotation is not None and controller.annotation.detection.is_busy


def _why_no_prompt(controller: Controller) -> str:
    if controller.viewer.dims.ndisplay == 3:
        return "Prompts are drawn in 2-D: switch the view back with the 2D/3D button below."
    if not controller.focus.shows_frame:
        return "Prompts are drawn on rows and columns: roll the axes back with the button below."
    return ""


def _why_no_next_hypothesis(controller: Controller) -> str:
    if controller.hypothesis is not None and controller.hypothesis.count > 1:
        return ""
    return "Click an object first; then choose among its masks."


def _why_no_history(controller: Controller, action: Literal["undo", "redo"]) -> str:
    history = None if controller.annotation is None else controller.annotation.workspace.history
    if history is not None and (history.can_undo if action == "undo" else history.can_redo):
        return ""
    return f"There is nothing to {action}."


def _why_no_run(controller: Controller) -> str:
    axes = controller.focus.axes
    if controller.is_running:
        return "Objects are being propagated already: stop that first."
    if axes is None or axes.count < 2:
        return "The image has one frame: there is nothing to propagate an object through."
    if controller.annotation is None or not controller.annotation.propagation.starts(axes):
        return NO_OBJECT
    return ""


def _why_no_stop(controller: Controller) -> str:
    if controller.is_running or controller.encoding_progress is not None:
        return ""
    return "Nothing is running."


def _why_no_exemplars(controller: Controller) -> str:
    engine = controller.annotations.engine
    return "" if engine is None or engine.reads_exemplars else NO_EXEMPLARS


def _why_not_again(controller: Controller) -> str:
    concept = controller.search.current
    if concept is None or concept.description.is_empty:
        return "Nothing describes what to find: draw a box around an object, or type what it is."
    return ""


def _why_nothing_to_keep(controller: Controller) -> str:
    concept = controller.search.current
    if concept is None or not (concept.description.boxes or concept.description.library_exemplars):
        return "No exemplar is drawn yet: draw a box around an object first."
    return ""


def _why_no_candidates(controller: Controller, action: FindAction) -> str:
    candidate_count = controller.search.candidate_count
    if candidate_count is None:
        return NOT_SEARCHED
    if action == "make_objects" and not candidate_count.shown:
        return "No candidate counts here: lower the threshold, or click one in."
    if action in ("make_object", "use_as_exemplar") and controller.picking.picked is None:
        return NOTHING_CLICKED
    return _why_no_exemplars(controller) if action == "use_as_exemplar" else ""
