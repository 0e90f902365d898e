"""Evaluation of a model on images with ground truth, prompted by a simulated annotator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..engine.engine import Engine
from ..engine.session import Session
from ..values import Mask, Prompts
from .annotator import innermost_point, jittered_box, sample_objects, with_next_click
from .label_images import Labels, Pixels
from .real.labelled_images import Item

MAX_OBJECTS = 8
"""Objects that are prompted on an image, at most."""
MIN_AREA = 30
"""Pixels of the smallest object that is prompted."""
CLICKS = (1, 3, 5)
"""Numbers of clicks after which a mask is measured."""
MARGIN = 24
"""Pixels around the object on the image of a trial."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A mask of the model beside the true mask."""

    task: str
    iou: float  # with the truth
    predicted_iou: float  # the score of the model
    best_iou: float  # of its best mask hypothesis
    image: npt.NDArray[np.float32] = field(repr=False)  # (h, w, 3) in 0..1, around the object
    truth: Pixels = field(repr=False)  # (h, w)
    mask: Pixels = field(repr=False)  # (h, w)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The scores of a model on an image."""

    item: str
    group: str
    scores: dict[str, float]  # by task, 0..1
    trials: list[Trial]


def measure(engine: Engine, item: Item) -> Result:
    """Run all tasks for which the image has ground truth."""
    session = engine.open(item.frames)
    trials = [*measure_clicks(session, item), *measure_boxes(session, item)]
    scores = _mean_scores(trials)
    propagated = measure_propagation(session, item) if item.kind != "image" else []
    if propagated:
        scores["propagation"] = float(np.mean(propagated))
        scores["through z" if item.kind == "volume" else "through time"] = scores["propagation"]
    if item.is_whole:
        truth = item.labels[item.prompted_frame]
        scores["everything"] = average_precision(
            session.everything(item.prompted_frame).labels(), truth
        )
    session.close()
    return Result(item.name, item.group, scores, trials)


def measure_clicks(session: Session, item: Item) -> list[Trial]:
    """Click on every object, then again and again into the largest error of its mask."""
    truths = _truths(item)
    prompts = {i: Prompts([innermost_point(truth)]) for i, truth in truths.items()}
    trials = []
    for count in range(1, max(CLICKS) + 1):
        masks = session.segment_many(item.prompted_frame, prompts)
        if count in CLICKS:
            task = f"{count} click" + "s" * (count > 1)
            trials += _trials(session, item, task, masks)
        prompts = {
            i: with_next_click(own, masks[i].pixels, truths[i]) for i, own in prompts.items()
        }
    session.reset()
    return trials


def measure_boxes(session: Session, item: Item) -> list[Trial]:
    """Draw a box around every object, each edge a little off."""
    rng = np.random.default_rng(0)
    truths = _truths(item).items()
    prompts = {i: Prompts(boxes=[jittered_box(truth, rng)]) for i, truth in truths}
    masks = session.segment_many(item.prompted_frame, prompts)
    session.reset()
    return _trials(session, item, "box", masks)


def measure_propagation(session: Session, item: Item) -> list[float]:
    """Propagate true masks through the stack; return the mean IoU over frames of every object.

    Frames count on which the object is, and in a volume also those on which only the model has it.
    """
    start, truths = item.prompted_frame, _truths(item)
    true_masks = {
        (start, i): replace(Mask.of(truth), frame=start, object_id=i) for i, truth in truths.items()
    }
    ious: dict[int, list[float]] = {i: [] for _, i in true_masks}
    for mask in session.propagate(true_masks) if true_masks else ():
        truth = item.mask(mask.frame, mask.object_id)
        is_counted = truth.any() or (item.kind == "volume" and mask.area > 0)
        if mask.frame != start and is_counted:
            ious[mask.object_id].append(mask.iou(Mask.of(truth)))
    return [float(np.mean(values)) for values in ious.values() if values]


def average_precision(labels: Labels, truth: Labels, min_iou: float = 0.5) -> float:
    """Return true positives over true positives and all errors, (H, W) labels each.

    An object is a true positive if its intersection over union with a true object reaches
    ``min_iou``; above one half, no two objects can match the same.
    """
    boxes = [(value, box) for value, box in enumerate(ndimage.find_objects(labels), 1) if box]
    areas = np.bincount(truth.ravel())
    matched = {
        match
        for value, box in boxes
        if (match := _match(labels[box] == value, truth[box], areas, min_iou))
    }
    count = len(boxes) + int((areas[1:] > 0).sum())
    return len(matched) / max(1, count - len(matched))


def _match(mask: Pixels, truth: Labels, areas: npt.NDArray[np.int64], min_iou: float) -> int:
    """Return the value of the true object that a mask matches, 0 if there is none."""
    shared = np.bincount(truth[mask], minlength=1)
    shared[0] = 0
    best = int(shared.argmax())
    union = np.count_nonzero(mask) + int(areas[best]) - int(shared[best])
    return best if best and shared[best] >= min_iou * union else 0


def _truths(item: Item) -> dict[int, Pixels]:
    values = sample_objects(item.labels[item.prompted_frame], MAX_OBJECTS, MIN_AREA)
    return {value: item.mask(item.prompted_frame, value) for value in values}


def _trials(session: Session, item: Item, task: str, masks: dict[int, Mask]) -> list[Trial]:
    image = session.contrast.compose(session.frames.read(item.prompted_frame))
    return [
        _trial(task, image, item.mask(item.prompted_frame, value), mask)
        for value, mask in masks.items()
    ]


def _trial(task: str, image: npt.NDArray[np.float32], truth: Pixels, mask: Mask) -> Trial:
    true_mask = Mask.of(truth)
    iou = mask.iou(true_mask)
    best_iou = max([iou, *(hypothesis.iou(true_mask) for hypothesis in mask.alternatives)])
    box = tuple(
        slice(max(int(used[0]) - MARGIN, 0), int(used[-1]) + MARGIN)
        for used in (np.flatnonzero(truth.any(axis)) for axis in (1, 0))
    )
    return Trial(task, iou, mask.score, best_iou, image[box], truth[box], mask.pixels[box])


def _mean_scores(trials: Sequence[Trial]) -> dict[str, float]:
    tasks = dict.fromkeys(trial.task for trial in trials)
    scores = {}
    for task in tasks:
        own = [trial for trial in trials if trial.task == task]
        scores[task] = float(np.mean([trial.iou for trial in own]))
        if task in ("1 click", "box"):
            scores[f"{task}, best hypothesis"] = float(np.mean([trial.best_iou for trial in own]))
    return scores
