from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Engine, Prompts
from napari_sam3.training.baselines import classical_backends
from napari_sam3.training.evaluation import average_precision
from tests.backends import ellipse
from tests.masks import mask_of

SHAPE = (80, 90)
CELL, NEIGHBOUR = ellipse(SHAPE, (30, 30), (12, 10)), ellipse(SHAPE, (55, 65), (9, 11))
BACKENDS = {backend.name: backend for backend in classical_backends()}


def image(*masks: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(30, 4, SHAPE)
    return np.clip(noise + 150 * np.any(masks, axis=0), 0, 255).astype(np.uint8)


@pytest.fixture(params=BACKENDS)
def engine(request):
    return Engine(BACKENDS[request.param])


def test_a_click_outlines_a_bright_cell(engine):
    session = engine.open(image(CELL, NEIGHBOUR))

    mask = session.segment(0, Prompts([(30, 30)]))

    assert mask.iou(mask_of(CELL)) > 0.8


def test_a_box_outlines_a_bright_cell(engine):
    session = engine.open(image(CELL, NEIGHBOUR))

    mask = session.segment(0, Prompts(boxes=[(17.5, 19.5, 42.5, 40.5)]))

    assert mask.iou(mask_of(CELL)) > 0.7


def test_further_clicks_change_the_mask(engine):
    session = engine.open(image(CELL, NEIGHBOUR))

    mask = session.segment(0, Prompts([(30, 30), (55, 65), (5, 80)], [True, True, False]))

    assert mask.pixels.any()
    assert not mask.pixels[5, 80]


def test_everything_outlines_both_cells(engine):
    session = engine.open(image(CELL, NEIGHBOUR))

    candidates = session.everything(0)

    assert average_precision(candidates.labels(), CELL + 2 * NEIGHBOUR.astype(np.int32)) == 1


def test_a_resting_cell_is_propagated(engine):
    session = engine.open(np.stack([image(CELL), image(CELL)]))

    masks = list(session.propagate({(0, 1): mask_of(CELL)}))

    assert masks[-1].iou(mask_of(CELL)) > 0.9


@pytest.mark.parametrize("prompts", [Prompts([(3, 3)]), Prompts(boxes=[(0, 0, 5, 5)])])
def test_a_constant_image_gets_a_mask(engine, prompts):
    session = engine.open(np.full((20, 20), 7, np.uint8))

    assert session.segment(0, prompts).pixels.shape == (20, 20)
    assert session.everything(0).labels().max() <= 1
