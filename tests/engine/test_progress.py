from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sam3.engine import Budgets, CancelledError, Engine, Prompts
from napari_sam3.engine.model import Model
from napari_sam3.engine.progress import LONG_SECONDS, EncodingProgress, Watch, advance
from tests.backends import DiskBackend, DiskEmbedding
from tests.engine.test_model import look, picture

STEPS = 4
CLICK = Prompts([(8, 8)])


class SteppingBackend(DiskBackend):
    """Looks at an image in steps, and lets a test look on before each of them."""

    def __init__(self, look_on: Callable[[], object]) -> None:
        super().__init__()
        self.look_on = look_on

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        for done in range(STEPS):
            advance(done, STEPS)
            self.look_on()
        return super().encode(image)


def test_steps_are_known_while_an_image_is_looked_at() -> None:
    seen: list[EncodingProgress | None] = []
    model = Model(
        SteppingBackend(lambda: seen.append(model.watch.encoding_progress)), Budgets(2**20)
    )

    look(model, picture())

    assert [(one.done, one.total) for one in seen if one] == [(done, 4) for done in range(4)]
    assert model.watch.encoding_progress is None


def test_look_without_steps_is_known_too() -> None:
    watch = Watch()

    with watch.kept():
        encoding_progress = watch.encoding_progress

    assert encoding_progress is not None
    assert (encoding_progress.done, encoding_progress.total) == (0, 0)


def test_model_that_tells_no_steps_is_not_ended(backend: DiskBackend) -> None:
    model = Model(backend, Budgets(2**20))
    encode = backend.encode

    def encode_cancelled(image: NDArray[np.float32]) -> DiskEmbedding:
        model.watch.cancel()
        return encode(image)

    backend.encode = encode_cancelled  # type: ignore[method-assign]

    assert look(model, picture()) is not None
    assert len(model.embeddings) == 1


def test_cancelled_image_is_not_kept_and_looked_at_anew() -> None:
    backend = SteppingBackend(lambda: session.stop_encoding())
    session = Engine(backend).open(np.zeros((16, 16), np.uint8))
    with pytest.raises(CancelledError, match="prompt again"):
        session.segment(0, CLICK)

    backend.look_on = lambda: None
    mask = session.segment(0, CLICK)

    assert mask.area
    assert backend.encoded == 1


def test_model_is_free_for_others_after_a_cancel() -> None:
    model = Model(SteppingBackend(lambda: model.watch.cancel()), Budgets(2**20))

    with pytest.raises(CancelledError):
        look(model, picture())

    assert model.watch.encoding_progress is None
    with model.turns.background():
        pass


def test_cancel_without_an_image_concerns_none() -> None:
    model = Model(SteppingBackend(lambda: None), Budgets(2**20))

    model.watch.cancel()

    assert look(model, picture()) is not None


def test_steps_outside_of_a_watch_are_told_to_nobody() -> None:
    advance(1, 2)


@pytest.mark.parametrize(("seconds", "is_long"), [(0.0, False), (LONG_SECONDS, True)])
def test_only_long_looks_are_long(seconds: float, is_long: bool) -> None:
    assert EncodingProgress(0, 1, seconds).is_long == is_long
