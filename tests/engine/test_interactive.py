from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam3.engine import Budgets, Engine, Prompts, interactive
from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.interactive import PromptQuery, PromptState
from tests.backends import DiskBackend, disk_frames
from tests.masks import mask_of

CLICK = Prompts(points=[(30, 12)])
MASK = np.ones((64, 64), bool)


class RefiningBackend(DiskBackend):
    """Keeps logits of every hypothesis, as real models do."""

    def segment(self, embedding, prompts, previous) -> list[Prediction]:
        predictions = super().segment(embedding, prompts, previous)
        logits = np.zeros((56, 56), np.float32)
        return [
            replace(each, memory=dict.fromkeys(("whole", "part"), logits)) for each in predictions
        ]


def state_of(prompts: Prompts, memory: dict | None = None) -> PromptState:
    prediction = Prediction((mask_of(MASK.copy()),), memory=memory)
    return PromptState.of(PromptQuery(prompts, prompts), prediction)


def test_logits_for_refining_count_as_bytes() -> None:
    logits = np.zeros((56, 56), np.float32)

    nbytes = state_of(CLICK, {"whole": logits, "part": logits}).nbytes

    assert nbytes - state_of(CLICK).nbytes == 2 * logits.nbytes


def test_mask_prompt_counts_as_bytes() -> None:
    outlined = CLICK.with_mask(MASK)

    assert state_of(outlined).nbytes - state_of(CLICK).nbytes == MASK.nbytes


def test_oldest_predictions_are_evicted_with_their_logits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interactive, "PREDICTION_BYTES", 10 * 2 * 56 * 56 * 4)
    backend = RefiningBackend()
    session = Engine(backend, Budgets(2**20)).open(disk_frames([(30, 12)] * 20))
    for frame in range(20):
        session.segment(frame, CLICK)

    for frame in (19, 0):
        session.segment(frame, Prompts(points=[(30, 12), (34, 12)]))

    newest, oldest = backend.refined[20:]
    assert newest is not None
    assert oldest is None
