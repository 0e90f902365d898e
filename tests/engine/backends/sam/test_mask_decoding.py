from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.backends.sam import mask_decoding as drawing
from napari_sam3.engine.backends.sam.mask_decoding import (
    DecoderQuery,
    PromptDecoder,
    draw,
    draw_hypotheses,
    outline_logits,
)
from napari_sam3.engine.backends.sam.preprocessing import Maps, Scaling
from napari_sam3.values.masks import Reading
from napari_sam3.values.prompts import Prompts
from tests.tiny_models import GRID, SAM2_SIDE, SAM3_SIDE, WIDTH, load_tiny, visits

SHAPE = (90, 140)


@pytest.fixture
def logits():
    return torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_masks_are_those_of_the_stock_processor(tiny_sam2, logits):
    processor = load_tiny("Sam2Processor", tiny_sam2)
    expected = processor.post_process_masks([logits[None]], [SHAPE])[0][0]

    masks = [draw(one, Scaling.resized(SHAPE, 128)) for one in logits]

    np.testing.assert_array_equal(masks, expected)


def test_masks_of_a_fitted_image_are_those_of_the_stock_processor(tiny_sam1, logits):
    processor = load_tiny("SamProcessor", tiny_sam1)
    scaling = Scaling.fitted(SHAPE, 128)
    sizes = {"original_sizes": [SHAPE], "reshaped_input_sizes": [scaling.size]}
    expected = processor.image_processor.post_process_masks([logits[None]], **sizes)[0][0]

    masks = [draw(one, scaling) for one in logits]

    np.testing.assert_array_equal(masks, expected)


def test_nothing_is_drawn_where_all_logits_are_negative():
    mask = draw(torch.full((32, 32), -3.0), Scaling.resized(SHAPE, 128))

    assert mask.shape == SHAPE
    assert not mask.any()


def test_readings_are_ordered_by_score_and_keep_their_logits(logits):
    logits = logits + torch.tensor([-1.0, 1.0, 0.0])[:, None, None]

    hypotheses, known = draw_hypotheses(logits, [0.2, 0.5, 0.9], Scaling.resized(SHAPE, 128))

    assert [hypothesis.name for hypothesis in hypotheses] == ["part", "whole", "sub-part"]
    for name, index in (("sub-part", 0), ("whole", 1), ("part", 2)):
        torch.testing.assert_close(known[name], logits[index])


def test_masks_are_enlarged_one_by_one(logits, monkeypatch):
    sizes = []
    enlarge = drawing.F.interpolate

    def counted(maps, *args, **how):
        sizes.append(maps.shape[:2])
        return enlarge(maps, *args, **how)

    monkeypatch.setattr(drawing.F, "interpolate", counted)

    draw_hypotheses(logits, [0.1, 0.2, 0.3], Scaling.resized(SHAPE, 128))

    assert sizes == [(1, 1)] * 3


def test_an_answer_keeps_nothing_of_others(logits):
    together = logits.expand(16, -1, -1, -1).clone()

    _, known = draw_hypotheses(together[3], [0.1, 0.2, 0.3], Scaling.resized(SHAPE, 128))

    for one in known.values():
        assert one.untyped_storage().nbytes() == one.nbytes


SHAPE_PROMPTING = (90, 140)
CLICK = Prompts([(40, 50)])
CLICKS = Prompts([(40, 50), (3, 3)], [True, False])
BOX = Prompts(boxes=[(10, 20, 60, 90)])
BOX_AND_CLICK = Prompts([(40, 50)], boxes=[(10, 20, 60, 90)])


@pytest.fixture(scope="module")
def maps() -> Maps:
    def some(channels: int, side: int) -> torch.Tensor:
        return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(side))

    coarse, position = some(WIDTH, GRID), some(WIDTH, GRID)
    fine, middle = some(WIDTH // 8, 4 * GRID), some(WIDTH // 4, 2 * GRID)
    return Maps(fine, middle, coarse, position, SHAPE_PROMPTING)


@pytest.fixture(scope="module")
def sam2(tiny_sam2):
    return load_tiny("Sam2VideoModel", tiny_sam2).eval()


@pytest.fixture
def decoder(sam2):
    return PromptDecoder(sam2, SAM2_SIDE, torch.float32, "cpu")


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def on_square(places, side: int) -> torch.Tensor:
    """Turn (row, col) into (x, y) of the square, (1, 1, N, 2)."""
    scaled = np.array(places) * side / np.array(SHAPE_PROMPTING)
    return torch.tensor(scaled[:, ::-1].copy(), dtype=torch.float32)[None, None]


ASKED = {
    "a click": (CLICK, {"input_points": [(40, 50)], "input_labels": [1]}, True),
    "clicks": (CLICKS, {"input_points": [(40, 50), (3, 3)], "input_labels": [1, 0]}, False),
    "a box": (BOX, {"input_boxes": [(10, 20), (60, 90)]}, False),
    "both": (
        BOX_AND_CLICK,
        {
            "input_points": [(40, 50)],
            "input_labels": [1],
            "input_boxes": [(10, 20), (60, 90)],
        },
        False,
    ),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize(
    ("folder", "model", "side"),
    [
        ("tiny_sam2", "Sam2Model", SAM2_SIDE),
        ("tiny_edgetam", "EdgeTamModel", SAM2_SIDE),
        ("tiny_sam3", "Sam3TrackerModel", SAM3_SIDE),
    ],
)
def test_prompts_are_answered_as_by_the_stock_model(request, maps, asked, folder, model, side):
    prompts, said, is_ambiguous = asked
    stock = load_tiny(model, request.getfixturevalue(folder)).eval()
    inputs = {
        name: on_square(value, side) if name != "input_labels" else torch.tensor([[value]])
        for name, value in said.items()
    }
    if "input_boxes" in inputs:
        inputs["input_boxes"] = inputs["input_boxes"].flatten(2)
    coarse = maps.coarse + stock.no_memory_embedding.view(1, -1, 1, 1)
    expected = stock(
        image_embeddings=[maps.fine, maps.middle, coarse],
        multimask_output=is_ambiguous,
        **inputs,
    )

    answer = PromptDecoder(stock, side, torch.float32, "cpu").segment(maps, [prompts], [None])[0]

    order = expected.iou_scores[0, 0].argsort(descending=True)
    for hypothesis, index in zip(answer.hypotheses, order, strict=True):
        assert hypothesis.score == pytest.approx(float(expected.iou_scores[0, 0, index]), abs=1e-5)
        torch.testing.assert_close(
            answer.memory[hypothesis.name], expected.pred_masks[0, 0, index], atol=1e-4, rtol=0
        )
    presence = torch.sigmoid(expected.object_score_logits).item()
    assert answer.presence == pytest.approx(presence, abs=1e-5)


def test_many_objects_are_one_pass(sam2, decoder, maps):
    clicks = [Prompts([(row, col)]) for row in range(4, 90, 22) for col in range(5, 140, 36)]

    with visits(sam2.mask_decoder) as seen:
        answers = decoder.segment(maps, clicks, [None] * 16)

    assert len(clicks) == len(answers) == 16
    assert len(seen) == 1


def test_objects_with_and_without_an_outline_are_one_pass(sam2, decoder, maps):
    outline = np.zeros(SHAPE_PROMPTING, bool)
    outline[10:61, 20:91] = True

    with visits(sam2.mask_decoder) as seen:
        with_box, with_outline = decoder.segment(maps, [BOX, Prompts(mask=outline)], [None] * 2)

    assert len(seen) == 1
    assert not torch.equal(with_box.memory["whole"], with_outline.memory["whole"])


def test_what_else_is_asked_changes_no_answer(decoder, maps):
    asked = [CLICK, CLICKS, BOX, BOX_AND_CLICK, Prompts([(5, 5), (6, 6), (7, 7)])]

    together = decoder.segment(maps, asked, [None] * len(asked))
    alone = [decoder.segment(maps, [one], [None])[0] for one in asked]

    for one, other in zip(together, alone, strict=True):
        assert [r.name for r in one.hypotheses] == [r.name for r in other.hypotheses]
        for name, logits in one.memory.items():
            torch.testing.assert_close(logits, other.memory[name], atol=1e-5, rtol=0)


def test_a_click_may_mean_three_things_and_clear_prompts_one(decoder, maps):
    asked = [CLICK, CLICKS, BOX, BOX_AND_CLICK]

    answers = decoder.segment(maps, asked, [None] * len(asked))

    assert [len(answer.hypotheses) for answer in answers] == [3, 1, 1, 1]


def test_a_second_click_corrects_the_reading_that_is_preferred(sam2, decoder, maps):
    first = decoder.segment(maps, [CLICK], [None])[0]
    preferred = replace(first, hypotheses=first.hypotheses[::-1])
    with_logits = first.memory[first.hypotheses[-1].name]
    expected = sam2.prompt_encoder.mask_embed(with_logits[None, None])

    corrected = decoder.encoder.encode([decoder.view(maps).question(CLICKS, preferred)])
    answer = decoder.segment(maps, [CLICKS], [preferred])[0]

    torch.testing.assert_close(corrected.masks, expected)
    assert len(answer.hypotheses) == 1
    assert not torch.equal(
        answer.memory["whole"], decoder.segment(maps, [CLICKS], [None])[0].memory["whole"]
    )


def test_the_embedding_for_no_memory_is_seen(decoder, sam2, maps):
    blind = PromptDecoder(sam2, SAM2_SIDE, torch.float32, "cpu")
    blind._no_memory = torch.zeros_like(blind._no_memory)

    answers = [one.segment(maps, [BOX], [None])[0] for one in (decoder, blind)]

    assert not torch.allclose(*(answer.memory["whole"] for answer in answers), atol=1e-3)


def test_masks_have_the_shape_of_the_image(decoder, maps):
    answer = decoder.segment(maps, [CLICK], [None])[0]

    assert {hypothesis.pixels.shape for hypothesis in answer.hypotheses} == {SHAPE_PROMPTING}


def test_neighbouring_clicks_are_told_apart_in_short_numbers(tiny_sam2, maps):
    short = load_tiny("Sam2VideoModel", tiny_sam2).eval().to(torch.bfloat16)
    decoder = PromptDecoder(short, SAM2_SIDE, torch.bfloat16, "cpu")
    steps = np.arange(100, 130, 0.25)

    questions = [decoder.view(maps).question(Prompts([(80, col)]), None) for col in steps]
    clicks = decoder.encoder.encode(questions).clicks

    assert len(torch.unique(clicks.float(), dim=0)) == len(steps)


def test_a_small_graphics_card_gets_fewer_objects_at_once(decoder, maps, monkeypatch):
    decode, sizes = decoder.decode, []

    def crowded(maps, coarse, said):
        if len(coarse) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(coarse))
        return decode(maps, coarse, said)

    monkeypatch.setattr(decoder, "decode", crowded)

    answers = decoder.segment(maps, [CLICK] * 10, [None] * 10)

    assert len(answers) == 10
    assert max(sizes) <= 4


SHAPE_QUESTIONS = (64, 128)
SQUARE = Scaling.resized(SHAPE_QUESTIONS, 128)
CLICK_QUESTIONS = Prompts([(10, 20)])


def question(prompts: Prompts, previous: Prediction | None = None) -> DecoderQuery:
    return DecoderQuery.of(prompts, previous, SQUARE, 32)


def answered(first: str) -> Prediction:
    """Return an answer of two readings whose logits are 1 and 2."""
    empty = np.zeros(SHAPE_QUESTIONS, bool)
    names = ["whole", "part"] if first == "whole" else ["part", "whole"]
    logits = {"whole": torch.full((32, 32), 1.0), "part": torch.full((32, 32), 2.0)}
    return Prediction(tuple(Reading(name, empty, 0.5) for name in names), memory=logits)


@pytest.fixture
def outline():
    outline = np.zeros(SHAPE_QUESTIONS, bool)
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
    asked = question(CLICK_QUESTIONS, answered(first))

    assert (asked.drawn == {"whole": 1, "part": 2}[first]).all()


def test_an_outline_that_was_answered_before_is_not_drawn_again(outline):
    asked = question(Prompts(mask=outline), answered("part"))

    assert (asked.drawn == 2).all()


def test_an_answer_that_remembers_nothing_is_not_corrected(outline):
    asked = question(CLICK_QUESTIONS, Prediction.given(outline))

    assert asked.drawn is None


def test_only_a_single_click_is_ambiguous(outline):
    clear = [
        question(Prompts([(10, 20), (30, 40)])),
        question(Prompts(boxes=[(10, 20, 30, 40)])),
        question(Prompts([(10, 20)], boxes=[(10, 20, 30, 40)])),
        question(Prompts([(10, 20)], mask=outline)),
        question(CLICK_QUESTIONS, answered("whole")),
    ]

    assert question(CLICK_QUESTIONS).is_ambiguous
    assert not any(one.is_ambiguous for one in clear)


def test_an_outline_is_shrunk_to_shares_of_pixels():
    outline = np.zeros((64, 64), bool)
    outline[:30] = True

    logits = outline_logits(outline, Scaling.resized((64, 64), 64), 16)

    assert logits.shape == (16, 16)
    torch.testing.assert_close(logits[:6], torch.full((6, 16), 10.0))
    torch.testing.assert_close(logits[9:], torch.full((7, 16), -10.0))
    assert logits[7].abs().max() < 10


def test_an_outline_of_a_fitted_image_lies_in_its_corner():
    logits = outline_logits(np.ones((32, 64), bool), Scaling.fitted((32, 64), 64), 16)

    torch.testing.assert_close(logits[:8], torch.full((8, 16), 10.0))
    torch.testing.assert_close(logits[8:], torch.full((8, 16), -10.0))
