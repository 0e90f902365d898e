from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Engine, ObjectMask, Prompts
from napari_sam3.training.annotator import average_precision, overlap
from napari_sam3.training.baselines import baselines
from tests.backends import ellipse

SHAPE = (80, 90)
CELL, OTHER = ellipse(SHAPE, (30, 30), (12, 10)), ellipse(SHAPE, (55, 65), (9, 11))
BACKENDS = {backend.name: backend for backend in baselines()}


def picture(*masks: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(30, 4, SHAPE)
    return np.clip(noise + 150 * np.any(masks, axis=0), 0, 255).astype(np.uint8)


@pytest.fixture(params=BACKENDS)
def engine(request):
    return Engine(BACKENDS[request.param])


def test_a_click_outlines_a_bright_cell(engine):
    session = engine.open(picture(CELL, OTHER))

    mask = session.segment(0, Prompts([(30, 30)]))

    assert overlap(mask.pixels, CELL) > 0.8


def test_a_box_outlines_a_bright_cell(engine):
    session = engine.open(picture(CELL, OTHER))

    mask = session.segment(0, Prompts(boxes=[(17.5, 19.5, 42.5, 40.5)]))

    assert overlap(mask.pixels, CELL) > 0.7


def test_more_clicks_are_understood(engine):
    session = engine.open(picture(CELL, OTHER))

    mask = session.segment(0, Prompts([(30, 30), (55, 65), (5, 80)], [True, True, False]))

    assert mask.pixels.any()
    assert not mask.pixels[5, 80]


def test_everything_finds_both_cells(engine):
    session = engine.open(picture(CELL, OTHER))

    found = session.everything(0)

    assert average_precision(found.labels(), CELL + 2 * OTHER.astype(np.int32)) == 1


def test_a_resting_cell_is_followed(engine):
    session = engine.open(np.stack([picture(CELL), picture(CELL)]))

    masks = list(session.propagate({(0, 1): ObjectMask(0, 1, CELL, 1.0)}))

    assert overlap(masks[-1].pixels, CELL) > 0.9


@pytest.mark.parametrize("prompts", [Prompts([(3, 3)]), Prompts(boxes=[(0, 0, 5, 5)])])
def test_a_constant_image_is_answered(engine, prompts):
    session = engine.open(np.full((20, 20), 7, np.uint8))

    assert session.segment(0, prompts).pixels.shape == (20, 20)
    assert session.everything(0).labels().max() <= 1
