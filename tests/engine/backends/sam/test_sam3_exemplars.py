from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_sam3.engine import Engine, ExemplarLibrary, ModelError, Session
from napari_sam3.engine.backends.sam import concepts
from napari_sam3.engine.loading import load_backend

BOX = (20, 30, 60, 80)


@pytest.fixture(scope="module")
def engine(tiny_sam3: Path) -> Engine:
    return Engine(load_backend(tiny_sam3, "cpu"))


@pytest.fixture
def session(engine: Engine) -> Session:
    frames = np.random.default_rng(0).integers(0, 255, (2, 220, 230), np.uint8)
    return engine.open(frames)


def test_an_exemplar_is_used_on_another_frame_and_again_in_another_session(
    session, engine, tmp_path
):
    exemplar = session.exemplar(0, BOX)
    ExemplarLibrary(tmp_path).save("cell", [exemplar, exemplar.negated()])

    found = session.find(1, exemplars=[exemplar])
    again = engine.open(session.frames).find(
        1, exemplars=ExemplarLibrary(tmp_path).load("cell")[:1]
    )

    np.testing.assert_array_equal(found.scores, again.scores)
    assert found.scores.tolist() != session.find(1, text="cell").scores.tolist()


def test_a_box_and_its_exemplar_detect_the_same(session, monkeypatch):
    monkeypatch.setattr(concepts, "USED_SCORE", 1.0)

    drawn, stored = (
        session.find(0, exemplars=[example]) for example in (BOX, session.exemplar(0, BOX))
    )

    np.testing.assert_allclose(drawn.scores, stored.scores, atol=1e-3)


def test_a_saturated_detector_searches_tiles(session, monkeypatch):
    monkeypatch.setattr(concepts, "USED_SCORE", 0.0)

    found = session.find(0, text="cell", exemplars=[BOX])

    assert found.is_saturated
    assert found.tiles_searched == 4


def test_an_exemplar_of_another_model_is_refused(session):
    exemplar = Engine.load("embedded", "cpu").open(np.zeros((64, 64))).exemplar(0, (9, 9, 30, 30))

    with pytest.raises(ModelError, match="drawn with the model embedded"):
        session.find(0, exemplars=[exemplar])
