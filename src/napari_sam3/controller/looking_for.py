"""Putting the description of a concept to a session; called by workers."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from ..engine import Candidates, Exemplar, Session
from ..layers.axes import Place
from ..layers.exemplar_layer import DrawnBox
from .found_concept import Description, Region
from .views import Sessions, View

Shown = Region | Exemplar


def look_for(
    sessions: Sessions,
    view: View,
    place: Place,
    asked: Description,
    elsewhere: Sequence[tuple[Place, View]],
    region: Region | None,
) -> Candidates:
    """Find what is described on the frame at a place, or in a region of it."""
    session = sessions.of(view)
    frame = view.axes.frame_of(place)
    if asked.is_everything:
        return session.everything(frame, region)
    here = [box for box in asked.boxes if box.place == place]
    kept = [*remembered(sessions, asked, dict(elsewhere)), *asked.borrowed]
    return session.find(
        frame,
        asked.text or None,
        exemplars=[*(box.box for box in here if box.is_positive), *kept],
        negatives=[box.box for box in here if not box.is_positive],
        region=region,
    )


def look_for_on_all(
    sessions: Sessions,
    view: View,
    asked: Mapping[int, Description],
    elsewhere: Mapping[Place, View],
) -> Generator[tuple[int, Candidates], None, None]:
    """Find what is described on every frame of a stack, all descriptions on one frame first.

    Yields
    ------
    The key of the description, and what was found.
    """
    session = sessions.of(view)
    found = {
        key: _on_all(session, one, [*remembered(sessions, one, elsewhere), *one.borrowed])
        for key, one in asked.items()
    }
    for _ in range(view.axes.count):
        for key, candidates in found.items():
            yield key, next(candidates)


def remembered(
    sessions: Sessions, asked: Description, elsewhere: Mapping[Place, View]
) -> list[Exemplar]:
    """Show the model the boxes that were drawn on other frames."""
    return [
        _exemplar(sessions, elsewhere[box.place], box)
        for box in asked.boxes
        if box.place in elsewhere
    ]


def _exemplar(sessions: Sessions, view: View, box: DrawnBox) -> Exemplar:
    exemplar = sessions.of(view).exemplar(view.axes.frame_of(box.place), box.box)
    return exemplar if box.is_positive else exemplar.negated()


def _on_all(
    session: Session, asked: Description, exemplars: Sequence[Shown]
) -> Iterator[Candidates]:
    if asked.is_everything:
        return (session.everything(frame) for frame in range(session.frames.count))
    return iter(session.find_all(asked.text or None, exemplars=exemplars))
