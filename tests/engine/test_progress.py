from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sam3.engine import Budgets, CancelledError, Engine, Prompts
from napari_sam3.engine.model import Model
from napari_sam3.engine.progress import LONG_SECONDS, EncodingMonitor, EncodingProgress, advance
from tests.backends import DiskBackend, DiskEmbedding
from tests.engine.test_model import embedding_of, model_input

STEPS = 4
CLICK = Prompts([(8, 8)])


class SteppingBackend(DiskBackend):
    """Encodes an image in steps, and calls a function of the test before each of them."""

    def __init__(self, on_step: Callable[[], object]) -> None:
        super().__init__()
        self.on_step = on_step

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        for done in range(STEPS):
            advance(done, STEPS)
            self.on_step()
        return super().encode(image)


def test_steps_are_reported_while_an_image_is_encoded() -> None:
    reported: list[EncodingProgress | None] = []
    model = Model(SteppingBackend(lambda: reported.append(model.monitor.progress)), Budgets(2**20))

    embedding_of(model, model_input())

    assert [(progress.done, progress.total) for progress in reported if progress] == [
        (done, 4) for done in range(4)
    ]
    assert model.monitor.progress is None


def test_encoding_without_steps_is_reported_too() -> None:
    monitor = EncodingMonitor()

    with monitor.monitored():
        progress = monitor.progress

    assert progress is not None
    assert (progress.done, progress.total) == (0, 0)


def test_model_that_reports_no_steps_is_not_stopped(backend: DiskBackend) -> None:
    model = Model(backend, Budgets(2**20))
    encode = backend.encode

    def encode_cancelled(image: NDArray[np.float32]) -> DiskEmbedding:
        model.monitor.cancel()
        return encode(image)

    backend.encode = encode_cancelled  # type: ignore[method-assign]

    assert embedding_of(model, model_input()) is not None
    assert len(model.embeddings) == 1


def test_cancelled_image_is_not_cached_and_encoded_anew() -> None:
    backend = SteppingBackend(lambda: session.stop_encoding())
    session = Engine(backend).open(np.zeros((16, 16), np.uint8))
    with pytest.raises(CancelledError, match="prompt again"):
        session.segment(0, CLICK)

    backend.on_step = lambda: None
    mask = session.segment(0, CLICK)

    assert mask.area
    assert backend.encoded == 1


def test_model_is_free_after_a_cancel() -> None:
    model = Model(SteppingBackend(lambda: model.monitor.cancel()), Budgets(2**20))

    with pytest.raises(CancelledError):
        embedding_of(model, model_input())

    assert model.monitor.progress is None
    with model.turns.background():
        pass


def test_cancel_without_an_encoding_changes_nothing() -> None:
    model = Model(SteppingBackend(lambda: None), Budgets(2**20))

    model.monitor.cancel()

    assert embedding_of(model, model_input()) is not None


def test_steps_outside_of_a_monitor_are_ignored() -> None:
    advance(1, 2)


@pytest.mark.parametrize(("seconds", "is_long"), [(0.0, False), (LONG_SECONDS, True)])
def test_only_long_encodings_are_long(seconds: float, is_long: bool) -> None:
    assert EncodingProgress(0, 1, seconds).is_long == is_long
