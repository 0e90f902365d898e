from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam3.engine import Budgets, Engine, Prompts
from napari_sam3.engine import interactive as asking
from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.interactive import PromptQuery, PromptState
from tests.backends import DiskBackend, disk_frames
from tests.masks import mask_of

CLICK = Prompts(points=[(30, 12)])
MASK = np.ones((64, 64), bool)


class MindfulBackend(DiskBackend):
    """Remembers so much of every reading as real models do."""

    def segment(self, embedding, prompts, previous) -> list[Prediction]:
        answers = super().segment(embedding, prompts, previous)
        logits = np.zeros((56, 56), np.float32)
        return [replace(one, memory=dict.fromkeys(("whole", "part"), logits)) for one in answers]


def said(prompts: Prompts, memory: dict | None = None) -> PromptState:
    answer = Prediction((mask_of(MASK.copy()),), memory=memory)
    return PromptState.of(PromptQuery(prompts, prompts), answer)


def test_what_refines_an_answer_counts() -> None:
    logits = np.zeros((56, 56), np.float32)

    counted = said(CLICK, {"whole": logits, "part": logits}).nbytes

    assert counted - said(CLICK).nbytes == 2 * logits.nbytes


def test_outline_that_was_drawn_counts() -> None:
    outlined = CLICK.with_mask(MASK)

    assert said(outlined).nbytes - said(CLICK).nbytes == MASK.nbytes


def test_oldest_answers_make_room_with_all_that_refines_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "PREDICTION_BYTES", 10 * 2 * 56 * 56 * 4)
    backend = MindfulBackend()
    session = Engine(backend, Budgets(2**20)).open(disk_frames([(30, 12)] * 20))
    for frame in range(20):
        session.segment(frame, CLICK)

    for frame in (19, 0):
        session.segment(frame, Prompts(points=[(30, 12), (34, 12)]))

    newest, oldest = backend.refined[20:]
    assert newest is not None
    assert oldest is None
