from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam3.engine.backend import Answer
from napari_sam3.engine.masks import Reading
from napari_sam3.engine.prompts import Prompts
from napari_sam3.engine.sam.pictures import Scaling
from napari_sam3.engine.sam.questions import Question, outline_logits

SHAPE = (64, 128)
SQUARE = Scaling.squeezed(SHAPE, 128)
CLICK = Prompts([(10, 20)])


def question(prompts: Prompts, previous: Answer | None = None) -> Question:
    return Question.of(prompts, previous, SQUARE, 32)


def answered(first: str) -> Answer:
    """Return an answer of two readings whose logits are 1 and 2."""
    empty = np.zeros(SHAPE, bool)
    names = ["whole", "part"] if first == "whole" else ["part", "whole"]
    logits = {"whole": torch.full((32, 32), 1.0), "part": torch.full((32, 32), 2.0)}
    return Answer(tuple(Reading(name, empty, 0.5) for name in names), memory=logits)


@pytest.fixture
def outline():
    outline = np.zeros(SHAPE, bool)
    outline[16:33, 40:61] = True
    return outline


def test_clicks_are_x_and_y_on_the_square_with_their_signs():
    asked = question(Prompts([(10, 20), (30, 40)], [True, False]))

    np.testing.assert_array_equal(asked.points, [[20, 20], [40, 60]])
    np.testing.assert_array_equal(asked.labels, [1, 0])
    assert asked.box is None


def test_several_boxes_are_the_one_that_holds_them_all():
    asked = question(Prompts(boxes=[(10, 20, 30, 40), (5, 30, 20, 100)]))

    np.testing.assert_array_equal(asked.box, [20, 10, 100, 60])


def test_an_outline_brings_its_box(outline):
    asked = question(Prompts(mask=outline))

    np.testing.assert_array_equal(asked.box, [40, 32, 60, 64])
    assert asked.drawn is not None


@pytest.mark.parametrize("first", ["whole", "part"])
def test_the_preferred_reading_is_corrected(first):
    asked = question(CLICK, answered(first))

    assert (asked.drawn == {"whole": 1, "part": 2}[first]).all()


def test_an_outline_that_was_answered_before_is_not_drawn_again(outline):
    asked = question(Prompts(mask=outline), answered("part"))

    assert (asked.drawn == 2).all()


def test_an_answer_that_remembers_nothing_is_not_corrected(outline):
    asked = question(CLICK, Answer.given(outline))

    assert asked.drawn is None


def test_only_a_single_click_is_ambiguous(outline):
    clear = [
        question(Prompts([(10, 20), (30, 40)])),
        question(Prompts(boxes=[(10, 20, 30, 40)])),
        question(Prompts([(10, 20)], boxes=[(10, 20, 30, 40)])),
        question(Prompts([(10, 20)], mask=outline)),
        question(CLICK, answered("whole")),
    ]

    assert question(CLICK).is_ambiguous
    assert not any(one.is_ambiguous for one in clear)


def test_an_outline_is_shrunk_to_shares_of_pixels():
    outline = np.zeros((64, 64), bool)
    outline[:30] = True

    logits = outline_logits(outline, Scaling.squeezed((64, 64), 64), 16)

    assert logits.shape == (16, 16)
    torch.testing.assert_close(logits[:6], torch.full((6, 16), 10.0))
    torch.testing.assert_close(logits[9:], torch.full((7, 16), -10.0))
    assert logits[7].abs().max() < 10


def test_an_outline_of_a_fitted_image_lies_in_its_corner():
    logits = outline_logits(np.ones((32, 64), bool), Scaling.fitted((32, 64), 64), 16)

    torch.testing.assert_close(logits[:8], torch.full((8, 16), 10.0))
    torch.testing.assert_close(logits[8:], torch.full((8, 16), -10.0))
