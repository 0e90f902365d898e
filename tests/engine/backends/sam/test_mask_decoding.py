from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.backends.sam import mask_decoding
from napari_sam3.engine.backends.sam.mask_decoding import (
    DecoderQuery,
    PromptDecoder,
    mask_logits,
    upscaled_hypotheses,
    upscaled_mask,
)
from napari_sam3.engine.backends.sam.preprocessing import FeaturePyramid, Resizing
from napari_sam3.values.prompts import Prompts
from tests.masks import mask_of
from tests.tiny_models import GRID, SAM2_SIDE, SAM3_SIDE, WIDTH, load_tiny, visits

SHAPE = (90, 140)


@pytest.fixture
def logits():
    return torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_masks_are_those_of_the_stock_processor(tiny_sam2, logits):
    processor = load_tiny("Sam2Processor", tiny_sam2)
    expected = processor.post_process_masks([logits[None]], [SHAPE])[0][0]

    masks = [upscaled_mask(channel, Resizing.to_square(SHAPE, 128)) for channel in logits]

    np.testing.assert_array_equal(masks, expected)


def test_masks_of_a_padded_image_are_those_of_the_stock_processor(tiny_sam1, logits):
    processor = load_tiny("SamProcessor", tiny_sam1)
    resizing = Resizing.longest_side(SHAPE, 128)
    sizes = {"original_sizes": [SHAPE], "reshaped_input_sizes": [resizing.size]}
    expected = processor.image_processor.post_process_masks([logits[None]], **sizes)[0][0]

    masks = [upscaled_mask(channel, resizing) for channel in logits]

    np.testing.assert_array_equal(masks, expected)


def test_a_mask_is_empty_where_all_logits_are_negative():
    mask = upscaled_mask(torch.full((32, 32), -3.0), Resizing.to_square(SHAPE, 128))

    assert mask.shape == SHAPE
    assert not mask.any()


def test_hypotheses_are_ordered_by_score_and_keep_their_logits(logits):
    logits = logits + torch.tensor([-1.0, 1.0, 0.0])[:, None, None]

    hypotheses, by_name = upscaled_hypotheses(
        logits, [0.2, 0.5, 0.9], Resizing.to_square(SHAPE, 128)
    )

    assert [hypothesis.name for hypothesis in hypotheses] == ["part", "whole", "sub-part"]
    for name, index in (("sub-part", 0), ("whole", 1), ("part", 2)):
        torch.testing.assert_close(by_name[name], logits[index])


def test_masks_are_upscaled_one_by_one(logits, monkeypatch):
    sizes = []
    interpolate = mask_decoding.F.interpolate

    def counted(channels, *args, **options):
        sizes.append(channels.shape[:2])
        return interpolate(channels, *args, **options)

    monkeypatch.setattr(mask_decoding.F, "interpolate", counted)

    upscaled_hypotheses(logits, [0.1, 0.2, 0.3], Resizing.to_square(SHAPE, 128))

    assert sizes == [(1, 1)] * 3


def test_a_prediction_keeps_nothing_of_its_batch(logits):
    batch = logits.expand(16, -1, -1, -1).clone()

    _, by_name = upscaled_hypotheses(batch[3], [0.1, 0.2, 0.3], Resizing.to_square(SHAPE, 128))

    for kept in by_name.values():
        assert kept.untyped_storage().nbytes() == kept.nbytes


IMAGE_SHAPE = (90, 140)
CLICK = Prompts([(40, 50)])
CLICKS = Prompts([(40, 50), (3, 3)], [True, False])
BOX = Prompts(boxes=[(10, 20, 60, 90)])
BOX_AND_CLICK = Prompts([(40, 50)], boxes=[(10, 20, 60, 90)])


@pytest.fixture(scope="module")
def pyramid() -> FeaturePyramid:
    def noise(channels: int, side: int) -> torch.Tensor:
        return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(side))

    coarse, encoding = noise(WIDTH, GRID), noise(WIDTH, GRID)
    fine, middle = noise(WIDTH // 8, 4 * GRID), noise(WIDTH // 4, 2 * GRID)
    return FeaturePyramid(fine, middle, coarse, encoding, IMAGE_SHAPE)


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


def on_square(points, side: int) -> torch.Tensor:
    """Turn (row, col) into (x, y) of the square, (1, 1, N, 2)."""
    scaled = np.array(points) * side / np.array(IMAGE_SHAPE)
    return torch.tensor(scaled[:, ::-1].copy(), dtype=torch.float32)[None, None]


PROMPTED = {
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


@pytest.mark.parametrize("prompted", PROMPTED.values(), ids=PROMPTED)
@pytest.mark.parametrize(
    ("folder", "model", "side"),
    [
        ("tiny_sam2", "Sam2Model", SAM2_SIDE),
        ("tiny_edgetam", "EdgeTamModel", SAM2_SIDE),
        ("tiny_sam3", "Sam3TrackerModel", SAM3_SIDE),
    ],
)
def test_prompts_are_decoded_as_by_the_stock_model(request, pyramid, prompted, folder, model, side):
    prompts, stock_prompts, is_ambiguous = prompted
    stock = load_tiny(model, request.getfixturevalue(folder)).eval()
    inputs = {
        name: on_square(value, side) if name != "input_labels" else torch.tensor([[value]])
        for name, value in stock_prompts.items()
    }
    if "input_boxes" in inputs:
        inputs["input_boxes"] = inputs["input_boxes"].flatten(2)
    coarse = pyramid.coarse + stock.no_memory_embedding.view(1, -1, 1, 1)
    expected = stock(
        image_embeddings=[pyramid.fine, pyramid.middle, coarse],
        multimask_output=is_ambiguous,
        **inputs,
    )

    decoder = PromptDecoder(stock, side, torch.float32, "cpu").on_image(pyramid)

    prediction = decoder.segment([prompts], [None])[0]

    order = expected.iou_scores[0, 0].argsort(descending=True)
    for hypothesis, index in zip(prediction.hypotheses, order, strict=True):
        assert hypothesis.score == pytest.approx(float(expected.iou_scores[0, 0, index]), abs=1e-5)
        torch.testing.assert_close(
            prediction.memory[hypothesis.name], expected.pred_masks[0, 0, index], atol=1e-4, rtol=0
        )
    presence = torch.sigmoid(expected.object_score_logits).item()
    assert prediction.presence == pytest.approx(presence, abs=1e-5)


def test_many_objects_are_one_batch(sam2, decoder, pyramid):
    clicks = [Prompts([(row, col)]) for row in range(4, 90, 22) for col in range(5, 140, 36)]

    with visits(sam2.mask_decoder) as decoded:
        predictions = decoder.on_image(pyramid).segment(clicks, [None] * 16)

    assert len(clicks) == len(predictions) == 16
    assert len(decoded) == 1


def test_objects_with_and_without_a_mask_are_one_batch(sam2, decoder, pyramid):
    outline = np.zeros(IMAGE_SHAPE, bool)
    outline[10:61, 20:91] = True

    with visits(sam2.mask_decoder) as decoded:
        with_box, with_outline = decoder.on_image(pyramid).segment(
            [BOX, Prompts(mask=outline)], [None] * 2
        )

    assert len(decoded) == 1
    assert not torch.equal(with_box.memory["whole"], with_outline.memory["whole"])


def test_the_rest_of_a_batch_changes_no_prediction(decoder, pyramid):
    prompts = [CLICK, CLICKS, BOX, BOX_AND_CLICK, Prompts([(5, 5), (6, 6), (7, 7)])]

    together = decoder.on_image(pyramid).segment(prompts, [None] * len(prompts))
    alone = [decoder.on_image(pyramid).segment([prompt], [None])[0] for prompt in prompts]

    for batched, single in zip(together, alone, strict=True):
        names = [[mask.name for mask in prediction.hypotheses] for prediction in (batched, single)]
        assert names[0] == names[1]
        for name, logits in batched.memory.items():
            torch.testing.assert_close(logits, single.memory[name], atol=1e-5, rtol=0)


def test_a_click_has_three_hypotheses_and_clear_prompts_one(decoder, pyramid):
    prompts = [CLICK, CLICKS, BOX, BOX_AND_CLICK]

    predictions = decoder.on_image(pyramid).segment(prompts, [None] * len(prompts))

    assert [len(prediction.hypotheses) for prediction in predictions] == [3, 1, 1, 1]


def test_a_second_click_refines_the_hypothesis_that_is_preferred(sam2, decoder, pyramid):
    first = decoder.on_image(pyramid).segment([CLICK], [None])[0]
    preferred = replace(first, hypotheses=first.hypotheses[::-1])
    with_logits = first.memory[first.hypotheses[-1].name]
    expected = sam2.prompt_encoder.mask_embed(with_logits[None, None])

    refined = decoder.encoder.encode([decoder.on_image(pyramid).query(CLICKS, preferred)])
    prediction = decoder.on_image(pyramid).segment([CLICKS], [preferred])[0]

    torch.testing.assert_close(refined.dense, expected)
    assert len(prediction.hypotheses) == 1
    assert not torch.equal(
        prediction.memory["whole"],
        decoder.on_image(pyramid).segment([CLICKS], [None])[0].memory["whole"],
    )


def test_the_embedding_for_no_memory_is_added(decoder, sam2, pyramid):
    without_memory = PromptDecoder(sam2, SAM2_SIDE, torch.float32, "cpu")
    without_memory._no_memory = torch.zeros_like(without_memory._no_memory)

    predictions = [
        model.on_image(pyramid).segment([BOX], [None])[0] for model in (decoder, without_memory)
    ]

    assert not torch.allclose(
        *(prediction.memory["whole"] for prediction in predictions), atol=1e-3
    )


def test_masks_have_the_shape_of_the_image(decoder, pyramid):
    prediction = decoder.on_image(pyramid).segment([CLICK], [None])[0]

    assert {hypothesis.pixels.shape for hypothesis in prediction.hypotheses} == {IMAGE_SHAPE}


def test_neighbouring_clicks_differ_in_bfloat16(tiny_sam2, pyramid):
    bfloat16 = load_tiny("Sam2VideoModel", tiny_sam2).eval().to(torch.bfloat16)
    decoder = PromptDecoder(bfloat16, SAM2_SIDE, torch.bfloat16, "cpu")
    steps = np.arange(100, 130, 0.25)

    queries = [decoder.on_image(pyramid).query(Prompts([(80, col)]), None) for col in steps]
    sparse = decoder.encoder.encode(queries).sparse

    assert len(torch.unique(sparse.float(), dim=0)) == len(steps)


def test_a_small_graphics_card_gets_smaller_batches(decoder, pyramid, monkeypatch):
    decode, sizes = decoder.decode, []

    def crowded(pyramid, coarse, prompts):
        if len(coarse) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(coarse))
        return decode(pyramid, coarse, prompts)

    monkeypatch.setattr(decoder, "decode", crowded)

    predictions = decoder.on_image(pyramid).segment([CLICK] * 10, [None] * 10)

    assert len(predictions) == 10
    assert max(sizes) <= 4


QUERY_SHAPE = (64, 128)
SQUARE = Resizing.to_square(QUERY_SHAPE, 128)
QUERY_CLICK = Prompts([(10, 20)])


def query(prompts: Prompts, previous: Prediction | None = None) -> DecoderQuery:
    return DecoderQuery.of(prompts, previous, SQUARE, 32)


def previous_prediction(first: str) -> Prediction:
    """Return a prediction of two hypotheses whose logits are 1 and 2."""
    empty = np.zeros(QUERY_SHAPE, bool)
    names = ["whole", "part"] if first == "whole" else ["part", "whole"]
    logits = {"whole": torch.full((32, 32), 1.0), "part": torch.full((32, 32), 2.0)}
    return Prediction(tuple(mask_of(empty, 0.5, name=name) for name in names), memory=logits)


@pytest.fixture
def outline():
    outline = np.zeros(QUERY_SHAPE, bool)
    outline[16:33, 40:61] = True
    return outline


def test_clicks_are_x_and_y_on_the_square_with_their_signs():
    decoder_query = query(Prompts([(10, 20), (30, 40)], [True, False]))

    np.testing.assert_array_equal(decoder_query.points, [[20, 20], [40, 60]])
    np.testing.assert_array_equal(decoder_query.labels, [1, 0])
    assert decoder_query.box is None


def test_several_boxes_become_one_around_all():
    decoder_query = query(Prompts(boxes=[(10, 20, 30, 40), (5, 30, 20, 100)]))

    np.testing.assert_array_equal(decoder_query.box, [20, 10, 100, 60])


def test_an_outline_brings_its_box(outline):
    decoder_query = query(Prompts(mask=outline))

    np.testing.assert_array_equal(decoder_query.box, [40, 32, 60, 64])
    assert decoder_query.mask_input is not None


@pytest.mark.parametrize("first", ["whole", "part"])
def test_the_preferred_hypothesis_is_refined(first):
    decoder_query = query(QUERY_CLICK, previous_prediction(first))

    assert (decoder_query.mask_input == {"whole": 1, "part": 2}[first]).all()


def test_a_previous_prediction_replaces_the_outline(outline):
    decoder_query = query(Prompts(mask=outline), previous_prediction("part"))

    assert (decoder_query.mask_input == 2).all()


def test_a_prediction_without_logits_is_not_refined(outline):
    decoder_query = query(QUERY_CLICK, Prediction.given(outline))

    assert decoder_query.mask_input is None


def test_only_a_single_click_is_ambiguous(outline):
    clear = [
        query(Prompts([(10, 20), (30, 40)])),
        query(Prompts(boxes=[(10, 20, 30, 40)])),
        query(Prompts([(10, 20)], boxes=[(10, 20, 30, 40)])),
        query(Prompts([(10, 20)], mask=outline)),
        query(QUERY_CLICK, previous_prediction("whole")),
    ]

    assert query(QUERY_CLICK).is_ambiguous
    assert not any(unambiguous.is_ambiguous for unambiguous in clear)


def test_a_mask_is_shrunk_to_shares_of_pixels():
    outline = np.zeros((64, 64), bool)
    outline[:30] = True

    logits = mask_logits(outline, Resizing.to_square((64, 64), 64), 16)

    assert logits.shape == (16, 16)
    torch.testing.assert_close(logits[:6], torch.full((6, 16), 10.0))
    torch.testing.assert_close(logits[9:], torch.full((7, 16), -10.0))
    assert logits[7].abs().max() < 10


def test_the_mask_of_a_padded_image_lies_in_its_corner():
    logits = mask_logits(np.ones((32, 64), bool), Resizing.longest_side((32, 64), 64), 16)

    torch.testing.assert_close(logits[:8], torch.full((8, 16), 10.0))
    torch.testing.assert_close(logits[8:], torch.full((8, 16), -10.0))
