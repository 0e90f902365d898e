from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam3.engine import Engine, Prompts
from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.backends.embedded.model import EmbeddedBackend
from napari_sam3.engine.backends.sam.sam1 import Sam1Backend
from napari_sam3.values.candidates import Concept
from napari_sam3.values.errors import ModelError, WeightsError
from tests.tiny_models import SAM2_SIDE, load_tiny, visits

SHAPE = (SAM2_SIDE, SAM2_SIDE // 2)  # nothing is resized, so nothing is rounded
CLICK = Prompts([(40, 50)])


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)


@pytest.fixture(scope="module")
def pixels(image):
    return image / np.float32(255)


@pytest.fixture(scope="module")
def sam1(tiny_sam1) -> Sam1Backend:
    return Sam1Backend.load(tiny_sam1, "cpu", "float32")


@pytest.fixture
def unrounded(sam1, monkeypatch) -> Sam1Backend:
    """Return a model that keeps all digits of an embedding, to compare with foreign classes."""
    monkeypatch.setattr(
        "napari_sam3.engine.backends.sam.sam1.to_16_bits", lambda values, precision: values
    )
    return sam1


@pytest.fixture
def confident(sam1, monkeypatch) -> Sam1Backend:
    """Return a model that gives all its masks a high score."""
    return with_score(sam1, monkeypatch, 0.9)


def with_score(sam1: Sam1Backend, monkeypatch, score: float) -> Sam1Backend:
    decode = sam1._model.mask_decoder.forward

    def scored(**arguments):
        logits, scores = decode(**arguments)
        return logits, torch.full_like(scores, score)

    monkeypatch.setattr(sam1._model.mask_decoder, "forward", scored)
    return sam1


def outline() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[20:60, 10:40] = True
    return mask


@torch.inference_mode()
@pytest.mark.parametrize(
    ("prompts", "stock_prompts", "is_ambiguous"),
    [
        (CLICK, {"input_points": [[[50, 40]]], "input_labels": [[1]]}, True),
        (
            Prompts([(40, 50), (3, 3)], [True, False]),
            {"input_points": [[[50, 40], [3, 3]]], "input_labels": [[1, 0]]},
            False,
        ),
        (Prompts(boxes=[(10, 20, 60, 50)]), {"input_boxes": [[[20, 10, 50, 60]]]}, False),
    ],
)
def test_prompts_are_decoded_as_by_the_stock_model(
    tiny_sam1, unrounded, image, pixels, prompts, stock_prompts, is_ambiguous
):
    processor = load_tiny("SamProcessor", tiny_sam1)
    inputs = processor(images=image, return_tensors="pt", **stock_prompts)
    sizes = [inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")]
    for name, value in inputs.items():
        inputs[name] = value.float() if value.dtype == torch.float64 else value
    expected = load_tiny("SamModel", tiny_sam1).eval()(**inputs, multimask_output=is_ambiguous)
    masks = processor.image_processor.post_process_masks(expected.pred_masks, *sizes)[0][0]

    prediction = unrounded.segment(unrounded.encode(pixels), [prompts], [None])[0]

    best = expected.iou_scores[0, 0].argmax()
    logits = prediction.memory[prediction.hypotheses[0].name]
    torch.testing.assert_close(logits, expected.pred_masks[0, 0, best], atol=1e-4, rtol=0)
    np.testing.assert_array_equal(prediction.pixels, masks[best])


def test_many_objects_are_one_batch(sam1, pixels):
    clicks = [Prompts([(7 * i, 3 * i)]) for i in range(16)]

    with visits(sam1._model.mask_decoder) as decoded:
        predictions = sam1.segment(sam1.encode(pixels), clicks, [None] * 16)

    assert len(predictions) == 16
    assert len(decoded) == 1


def test_a_second_click_refines_the_first_prediction(sam1, pixels):
    clicks = Prompts([(40, 50), (3, 3)], [True, False])
    embedding = sam1.encode(pixels)
    first = sam1.segment(embedding, [CLICK], [None])[0]

    fresh, refined = sam1.segment(embedding, [clicks, clicks], [None, first])

    assert not torch.equal(fresh.memory["whole"], refined.memory["whole"])


def test_a_mask_prompt_is_more_than_its_box(sam1, pixels):
    box = Prompts(boxes=[(20, 10, 59, 39)])

    from_mask, from_box = sam1.segment(
        sam1.encode(pixels), [Prompts(mask=outline()), box], [None] * 2
    )

    assert not torch.equal(from_mask.memory["whole"], from_box.memory["whole"])


def test_scores_are_shares(sam1, pixels):
    predictions = sam1.segment(sam1.encode(pixels), [CLICK], [None])

    assert all(0 <= hypothesis.score <= 1 for hypothesis in predictions[0].hypotheses)


def test_an_object_is_propagated_with_its_last_mask(confident, pixels):
    embedding = confident.encode(pixels)
    same = confident.segment(embedding, [Prompts(mask=outline())], [None])[0]

    memory = confident.update_memory(None, embedding, Prediction.given(outline()))
    prediction = confident.propagate(embedding, [memory])[0]

    np.testing.assert_array_equal(prediction.pixels, same.pixels)
    assert prediction.presence == pytest.approx(0.9)


def test_an_object_of_a_low_score_is_gone(sam1, pixels, monkeypatch):
    embedding = sam1.encode(pixels)
    memory = sam1.update_memory(None, embedding, Prediction.given(outline()))

    prediction = with_score(sam1, monkeypatch, 0.2).propagate(embedding, [memory])[0]

    assert not prediction.pixels.any()
    assert prediction.presence == pytest.approx(0.2)
    assert prediction.hypotheses[0].score == 0


def test_objects_are_propagated_through_a_stack(confident):
    stack = np.random.default_rng(1).integers(0, 256, (4, 90, 140), np.uint8)
    session = Engine(confident).open(stack)

    masks = list(session.propagate({(1, 1): Prompts([(40, 50)]), (1, 2): Prompts([(70, 90)])}))

    assert {(mask.frame, mask.object_id) for mask in masks} == {
        (frame, i) for frame in range(4) for i in (1, 2)
    }


def test_everything_is_detected_with_a_grid_of_points(sam1, pixels):
    embedding = sam1.encode(pixels)

    with visits(sam1._model.mask_decoder) as decoded:
        candidates = sam1.everything(embedding)

    assert candidates.shape == SHAPE
    assert len(decoded) == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_embedding_is_kept_in_half_precision(tiny_sam1, pixels, precision):
    embedding = Sam1Backend.load(tiny_sam1, "cpu", precision).encode(pixels)

    assert embedding.nbytes == 2 * embedding.coarse.numel()


def test_bfloat16_is_another_revision(tiny_sam1, sam1):
    bfloat16 = Sam1Backend.load(tiny_sam1, "cpu", "bfloat16")

    assert bfloat16.revision != sam1.revision


def test_concepts_are_refused(sam1, pixels):
    with pytest.raises(ModelError, match="click on the objects"):
        sam1.find(sam1.encode(pixels), Concept("cell"))


def test_the_embedding_of_another_model_is_refused(sam1):
    foreign = EmbeddedBackend.load(device="cpu").encode(np.zeros((32, 32, 3), np.float32))

    with pytest.raises(ModelError, match="encoded by another model"):
        sam1.segment(foreign, [CLICK], [None])


def test_another_model_is_refused(tiny_sam2):
    with pytest.raises(WeightsError, match="does not hold SAM 1"):
        Sam1Backend.load(tiny_sam2, "cpu", "float32")
