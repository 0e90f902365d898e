"""Measuring how well a model does what users would ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..engine.engine import Engine
from ..engine.session import Session
from ..values import ObjectMask, Prompts
from .annotator import (
    average_precision,
    careless_box,
    chosen_objects,
    innermost_point,
    overlap,
    with_next_click,
)
from .labelled_images import Item, Mask

MOST_OBJECTS = 8
SMALLEST_OBJECT = 30
"""In pixels."""
CLICKS = (1, 3, 5)
MARGIN = 24
"""Of the picture that is kept of a trial, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One answer, and how good it was."""

    task: str
    overlap: float  # with the truth
    predicted: float  # what the model thought of it
    best: float  # overlap of its best reading
    image: npt.NDArray[np.float32] = field(repr=False)  # (h, w, 3) in 0..1, around the object
    truth: Mask = field(repr=False)  # (h, w)
    answer: Mask = field(repr=False)  # (h, w)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What one model reached on one image."""

    item: str
    group: str
    scores: dict[str, float]  # by task, 0..1
    trials: list[Trial]


def measure(engine: Engine, item: Item) -> Result:
    """Ask a model about an image all that can be judged there."""
    session = engine.open(item.frames)
    trials = [*measure_clicks(session, item), *measure_boxes(session, item)]
    scores = _mean_scores(trials)
    followed = measure_propagation(session, item) if item.kind != "image" else []
    if followed:
        scores["propagation"] = float(np.mean(followed))
        scores["through z" if item.kind == "volume" else "through time"] = scores["propagation"]
    if item.is_whole:
        truth = item.labels[item.start]
        scores["everything"] = average_precision(session.everything(item.start).labels(), truth)
    session.close()
    return Result(item.name, item.group, scores, trials)


def measure_clicks(session: Session, item: Item) -> list[Trial]:
    """Click on every object, then in the largest mistake of each answer."""
    truths = _truths(item)
    prompts = {i: Prompts([innermost_point(truth)]) for i, truth in truths.items()}
    trials = []
    for count in range(1, max(CLICKS) + 1):
        answers = session.segment_many(item.start, prompts)
        if count in CLICKS:
            task = f"{count} click" + "s" * (count > 1)
            trials += _trials(session, item, task, answers)
        prompts = {
            i: with_next_click(one, answers[i].pixels, truths[i]) for i, one in prompts.items()
        }
    session.reset()
    return trials


def measure_boxes(session: Session, item: Item) -> list[Trial]:
    """Draw a box around every object, a little carelessly."""
    rng = np.random.default_rng(0)
    prompts = {i: Prompts(boxes=[careless_box(one, rng)]) for i, one in _truths(item).items()}
    answers = session.segment_many(item.start, prompts)
    session.reset()
    return _trials(session, item, "box", answers)


def measure_propagation(session: Session, item: Item) -> list[float]:
    """Follow true masks through the stack; for every object, the mean overlap over frames.

    Frames count on which the object is, and in a volume also those on which it is only found.
    """
    given = {
        (item.start, i): ObjectMask(item.start, i, truth, 1.0) for i, truth in _truths(item).items()
    }
    overlaps: dict[int, list[float]] = {i: [] for _, i in given}
    for mask in session.propagate(given) if given else ():
        truth = item.mask(mask.frame, mask.object_id)
        is_asked = truth.any() or (item.kind == "volume" and mask.pixels.any())
        if mask.frame != item.start and is_asked:
            overlaps[mask.object_id].append(overlap(mask.pixels, truth))
    return [float(np.mean(values)) for values in overlaps.values() if values]


def _truths(item: Item) -> dict[int, Mask]:
    values = chosen_objects(item.labels[item.start], MOST_OBJECTS, SMALLEST_OBJECT)
    return {value: item.mask(item.start, value) for value in values}


def _trials(session: Session, item: Item, task: str, answers: dict[int, ObjectMask]) -> list[Trial]:
    image = session.contrast.compose(session.frames.read(item.start))
    return [
        _trial(task, image, item.mask(item.start, value), answer)
        for value, answer in answers.items()
    ]


def _trial(task: str, image: npt.NDArray[np.float32], truth: Mask, answer: ObjectMask) -> Trial:
    hypotheses = [overlap(hypothesis.pixels, truth) for hypothesis in answer.alternatives]
    achieved = overlap(answer.pixels, truth)
    place = tuple(
        slice(max(int(used[0]) - MARGIN, 0), int(used[-1]) + MARGIN)
        for used in (np.flatnonzero(truth.any(axis)) for axis in (1, 0))
    )
    return Trial(
        task,
        achieved,
        answer.score,
        max([achieved, *hypotheses]),
        image[place],
        truth[place],
        answer.pixels[place],
    )


def _mean_scores(trials: Sequence[Trial]) -> dict[str, float]:
    tasks = dict.fromkeys(trial.task for trial in trials)
    scores = {}
    for task in tasks:
        own = [trial for trial in trials if trial.task == task]
        scores[task] = float(np.mean([trial.overlap for trial in own]))
        if task in ("1 click", "box"):
            scores[f"{task}, best reading"] = float(np.mean([trial.best for trial in own]))
    return scores
