"""Why something about finding cannot be done now, in a sentence for the user."""

from __future__ import annotations

from typing import Literal

from .controller import Controller
from .obstacles import NO_IMAGE, obstacle

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
NOTHING_FOUND = "Nothing was looked for on this frame yet: draw a box around an object first."
NO_TEXT = "The model reads no text: draw a box around an object, or choose a model that does."
NO_EXEMPLARS = "The model finds nothing by exemplars: choose the embedded model or SAM 3."
NOTHING_CLICKED = "Click a candidate first: choose pick, then click one in the image."


def obstacle_to(controller: Controller, action: FindAction) -> str:
    """Return why an action is not possible now; empty where it is."""
    if controller.focus.image is None:
        return NO_IMAGE
    match action:
        case "draw_exemplar":
            return obstacle(controller, "prompt") or _to_exemplars(controller)
        case "find_text":
            engine = controller.works.engine
            return "" if engine is None or engine.reads_text else NO_TEXT
        case "find_again":
            return _to_finding_again(controller)
        case "use_library":
            return _to_exemplars(controller)
        case "remove_concept":
            return "" if controller.finder.current is not None else "There is no concept yet."
        case "keep_exemplars":
            return _to_keeping(controller)
        case "select" | "pick" | "make_object" | "make_objects" | "use_as_exemplar":
            return _to_choosing(controller, action)
        case "find_everything":
            return ""


def is_busy(controller: Controller) -> bool:
    """Whether something is being looked for in the image."""
    return controller.work is not None and controller.work.finding.is_busy


def _to_exemplars(controller: Controller) -> str:
    engine = controller.works.engine
    return "" if engine is None or engine.reads_exemplars else NO_EXEMPLARS


def _to_finding_again(controller: Controller) -> str:
    concept = controller.finder.current
    if concept is None or concept.description.is_empty:
        return "Nothing says what to find: draw a box around one, or type what it is."
    return ""


def _to_keeping(controller: Controller) -> str:
    concept = controller.finder.current
    if concept is None or not (concept.description.boxes or concept.description.borrowed):
        return "No exemplar is drawn yet: draw a box around an object first."
    return ""


def _to_choosing(controller: Controller, action: FindAction) -> str:
    tally = controller.finder.tally
    if tally is None:
        return NOTHING_FOUND
    if action == "make_objects" and not tally.shown:
        return "No candidate counts here: lower the threshold, or click one in."
    if action in ("make_object", "use_as_exemplar") and controller.picking.picked is None:
        return NOTHING_CLICKED
    return _to_exemplars(controller) if action == "use_as_exemplar" else ""
