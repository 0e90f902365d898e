from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam3.engine.prompts import Prompts
from napari_sam3.engine.sam.maps import Maps
from napari_sam3.engine.sam.prompting import PromptDecoder
from tests.tiny_models import GRID, SAM2_SIDE, SAM3_SIDE, WIDTH, load_tiny, visits

SHAPE = (90, 140)
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
    return Maps(fine, middle, coarse, position, SHAPE)


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
    scaled = np.array(places) * side / np.array(SHAPE)
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
    for reading, index in zip(answer.readings, order, strict=True):
        assert reading.score == pytest.approx(float(expected.iou_scores[0, 0, index]), abs=1e-5)
        torch.testing.assert_close(
            answer.memory[reading.name], expected.pred_masks[0, 0, index], atol=1e-4, rtol=0
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
    outline = np.zeros(SHAPE, bool)
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
        assert [r.name for r in one.readings] == [r.name for r in other.readings]
        for name, logits in one.memory.items():
            torch.testing.assert_close(logits, other.memory[name], atol=1e-5, rtol=0)


def test_a_click_may_mean_three_things_and_clear_prompts_one(decoder, maps):
    asked = [CLICK, CLICKS, BOX, BOX_AND_CLICK]

    answers = decoder.segment(maps, asked, [None] * len(asked))

    assert [len(answer.readings) for answer in answers] == [3, 1, 1, 1]


def test_a_second_click_corrects_the_reading_that_is_preferred(sam2, decoder, maps):
    first = decoder.segment(maps, [CLICK], [None])[0]
    preferred = replace(first, readings=first.readings[::-1])
    with_logits = first.memory[first.readings[-1].name]
    expected = sam2.prompt_encoder.mask_embed(with_logits[None, None])

    corrected = decoder.encoder.encode([decoder.view(maps).question(CLICKS, preferred)])
    answer = decoder.segment(maps, [CLICKS], [preferred])[0]

    torch.testing.assert_close(corrected.masks, expected)
    assert len(answer.readings) == 1
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

    assert {reading.pixels.shape for reading in answer.readings} == {SHAPE}


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
