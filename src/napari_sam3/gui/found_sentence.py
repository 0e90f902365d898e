"""What the dock says about what was found."""

from __future__ import annotations

from ..controller import Controller
from ..controller.finding_obstacles import is_busy
from ..controller.found_concept import FoundConcept, Tally
from ..engine import TEXT_IS_WEAK
from .sentences import time_text

NOTHING_ASKED = "Box one object, or press everything."
NOT_HERE = "Not looked for on this frame yet: press Find."
CHANGED = "Boxes changed: press Find."
MISSING = "Some may be missing."
BOXES_FIND_MORE = "A box finds more than text."


def found_sentence(controller: Controller) -> str:
    """Say in a few words what was found of the current concept on the frame looked at."""
    concept, tally = controller.finder.current, controller.finder.tally
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
    concept, tally = controller.finder.current, controller.finder.tally
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
    progress = None if controller.work is None else controller.work.finding.progress
    if progress is None:
        return "looking …"
    left = progress.seconds_left
    waiting = "" if left is None else f", {time_text(left)} left"
    return f"looking, {progress.done} of {progress.total} frames{waiting}"


def _span(tally: Tally) -> str:
    low, high = tally.scores or (0.0, 0.0)
    return f"{low:.2f} to {high:.2f}"


def _warnings(concept: FoundConcept, tally: Tally) -> list[str]:
    """Say what stands against the count, in the order of weight."""
    asked = concept.description
    by_text_alone = bool(asked.text) and not asked.boxes and not asked.borrowed
    warnings = [
        (not tally.is_current, CHANGED),
        (tally.is_saturated, MISSING),
        (by_text_alone, BOXES_FIND_MORE),
    ]
    return [warning for applies, warning in warnings if applies]
