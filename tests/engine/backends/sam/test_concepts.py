from __future__ import annotations

from shutil import copytree

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_sam3.engine.backends.sam import concepts
from napari_sam3.engine.backends.sam.concepts import (
    LOWEST_SCORE,
    TEXT_CACHE_BYTES,
    Detections,
    Detector,
    TextEncoder,
    relative_boxes,
    suppress_duplicates,
    upscaled_crop,
)
from napari_sam3.engine.backends.sam.sam3_model import Sam3Embedding
from napari_sam3.values.candidates import Concept, Exemplar
from napari_sam3.values.errors import PromptError, WeightsError
from tests.tiny_models import QUERIES, load_tiny, visits

SHAPE = (150, 200)
EXEMPLAR, NEGATIVE = (9.5, 19.5, 59.5, 89.5), (79.5, 99.5, 119.5, 149.5)  # row, col, row, col
STOCK_EXEMPLAR, STOCK_NEGATIVE = [20, 10, 90, 60], [100, 80, 150, 120]  # x, y, x, y
CONCEPTS = [
    (Concept("cell"), "cell", []),
    (Concept(None, [EXEMPLAR]), "visual", [STOCK_EXEMPLAR]),
    (Concept("cell", [EXEMPLAR], [NEGATIVE]), "cell", [STOCK_EXEMPLAR, STOCK_NEGATIVE]),
]


@pytest.fixture
def detector(sam3, text_encoder) -> Detector:
    return Detector(sam3, text_encoder)


@pytest.mark.parametrize(("concept", "text", "boxes"), CONCEPTS, ids=["text", "box", "both"])
@torch.inference_mode()
def test_a_concept_is_detected_as_the_stock_model_detects_it(
    tiny_sam3, detector, pixel_values, exact, concept, text, boxes
):
    stock = load_tiny("Sam3Model", tiny_sam3)
    inputs = load_tiny("Sam3Processor", tiny_sam3)(
        text=text,
        input_boxes=[boxes] if boxes else None,
        input_boxes_labels=[[1, 0][: len(boxes)]] if boxes else None,
        original_sizes=[SHAPE],
        return_tensors="pt",
    )
    del inputs["original_sizes"]
    expected = stock(pixel_values=pixel_values, **inputs)

    detections = detector.detect(exact, concept)

    scores = expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid()
    torch.testing.assert_close(detections.logits, expected.pred_masks[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(detections.scores, scores[0], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_exemplars_change_what_is_detected(detector, exact):
    plain, positive, negative = (
        detector.detect(exact, Concept("cell", *boxes)).scores
        for boxes in ([], [[EXEMPLAR]], [[], [EXEMPLAR]])
    )

    assert not torch.equal(plain, positive)
    assert not torch.equal(positive, negative)


def exemplar_of(detector: Detector, embedding, box) -> Exemplar:
    picture = np.zeros((9, 9, 3), np.uint8)
    return Exemplar(detector.appearance(embedding, box), "sam3", "1", picture, (2, 2, 6, 6))


@pytest.mark.parametrize("kind", ["exemplars", "negatives"])
@torch.inference_mode()
def test_the_tokens_of_a_box_are_worth_the_box(detector, exact, kind):
    exemplar = exemplar_of(detector, exact, EXEMPLAR)

    box, tokens = (
        detector.detect(exact, Concept("cell", **{kind: [example]}))
        for example in (EXEMPLAR, exemplar)
    )

    torch.testing.assert_close(tokens.logits, box.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(tokens.scores, box.scores, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_an_exemplar_is_used_on_another_image_without_its_own(sam3, detector, exact):
    exemplar = exemplar_of(detector, exact, EXEMPLAR)
    another = Sam3Embedding(exact.tokens.flip(1), (80, 90))

    with visits(sam3.detector.vision_encoder.neck.fpn_layers[0]) as derived:
        plain, exemplified = (
            detector.find(another, Concept("cell", boxes)) for boxes in ([], [exemplar])
        )

    assert len(derived) == 1
    assert exemplified.shape == (80, 90)
    assert plain.scores.tolist() != exemplified.scores.tolist()


@torch.inference_mode()
def test_an_exemplar_of_another_image_is_used_beside_a_box(detector, exact):
    exemplar = exemplar_of(detector, exact, EXEMPLAR)

    box_alone, both = (
        detector.detect(exact, Concept(None, boxes)).scores
        for boxes in ([NEGATIVE], [NEGATIVE, exemplar])
    )

    assert not torch.equal(box_alone, both)


@pytest.mark.parametrize(("used", "is_saturated"), [(200, True), (195, True), (180, False)])
def test_hardly_any_free_query_means_that_objects_may_be_left_over(used, is_saturated):
    scores = torch.cat([torch.full((used,), 0.3), torch.full((200 - used,), 0.05)])

    assert Detections(torch.zeros(200, 1, 1), scores).is_saturated == is_saturated


@torch.inference_mode()
def test_candidates_say_whether_objects_may_be_left_over(detector, exact, monkeypatch):
    for used_score, is_saturated in [(0.0, True), (1.0, False)]:
        monkeypatch.setattr(concepts, "USED_SCORE", used_score)

        assert detector.find(exact, Concept("cell")).is_saturated == is_saturated


@torch.inference_mode()
def test_a_second_concept_encodes_no_image(sam3, detector, exact):
    detector.find(exact, Concept("cell"))

    with visits(sam3.detector.vision_encoder.neck.fpn_layers[0]) as derived:
        detector.find(exact, Concept("nucleus", [EXEMPLAR]))

    assert derived == []


@torch.inference_mode()
def test_candidates_are_crops_with_the_best_first(detector, exact):
    candidates = detector.find(exact, Concept("cell"))

    assert 0 < len(candidates) <= QUERIES
    assert candidates.shape == SHAPE
    assert (np.diff(candidates.scores) <= 0).all()
    assert (candidates.scores >= LOWEST_SCORE).all()
    for box, mask in zip(candidates.boxes, candidates.masks, strict=True):
        assert mask.shape == (box[2] - box[0], box[3] - box[1])
        assert mask.any()


def test_candidates_too_bad_for_any_threshold_are_dropped():
    scores = torch.tensor([0.01, 0.3, 0.9])
    detections = Detections(torch.arange(3.0)[:, None, None], scores)

    best = detections.best()

    assert best.scores.tolist() == scores[[2, 1]].tolist()
    assert best.logits.flatten().tolist() == [2, 1]


@pytest.mark.parametrize("shape", [(150, 200), (20, 333), (32, 32)])
def test_a_crop_is_what_upscaling_the_whole_mask_gives(shape):
    logits = torch.full((32, 32), -2.0)
    logits[5:11, 20:29] = torch.rand(6, 9, generator=torch.Generator().manual_seed(0)) * 4

    crop = upscaled_crop(logits, 0.5, shape)

    whole = F.interpolate(logits[None, None], shape, mode="bilinear")[0, 0].numpy() > 0
    top, left, bottom, right = crop.box
    np.testing.assert_array_equal(crop.crop, whole[top:bottom, left:right])
    assert crop.crop.sum() == whole.sum()
    assert crop.crop.any(axis=0).all()  # no column and no row is empty
    assert crop.crop.any(axis=1).all()


def test_a_crop_of_nothing_is_empty():
    crop = upscaled_crop(torch.full((8, 8), -1.0), 0.5, SHAPE)

    assert crop.crop.size == 0


def test_duplicates_of_a_better_mask_are_suppressed():
    masks = torch.zeros(4, 8, 8, dtype=torch.bool)
    masks[0, :4] = True
    masks[1, :3] = True  # three quarters of the first
    masks[2, 3:6] = True  # shares a row with the first
    masks[3, :2] = True  # half of the first, two thirds of the second, which is gone

    kept = suppress_duplicates(masks)

    assert kept == [0, 2, 3]


def test_boxes_reach_from_edge_to_edge_of_the_image():
    whole = (SHAPE[0] - 0.5, -0.5, -0.5, SHAPE[1] - 0.5)  # two opposite corners, in any order
    beyond = (-20.0, -20.0, 74.5, 500.0)

    boxes = relative_boxes([whole, beyond], SHAPE)

    torch.testing.assert_close(boxes, torch.tensor([[[0.5, 0.5, 1, 1], [0.5, 0.25, 1, 0.5]]]))


@torch.inference_mode()
def test_a_text_is_encoded_as_by_the_stock_model(tiny_sam3, text_encoder):
    stock = load_tiny("Sam3Model", tiny_sam3)
    tokens = load_tiny("Sam3Processor", tiny_sam3)(text="cell", return_tensors="pt")

    embedding = text_encoder.encode("cell")

    expected = stock.get_text_features(**tokens).pooler_output
    torch.testing.assert_close(embedding.features, expected)
    assert embedding.attention_mask.sum() == 6  # four letters between a start and an end


@torch.inference_mode()
def test_a_text_is_encoded_once(sam3, text_encoder):
    with visits(sam3.detector.text_encoder) as encoded:
        text_encoder.encode("mitochondria")
        text_encoder.encode("mitochondria")

    assert len(encoded) == 1


@torch.inference_mode()
def test_texts_do_not_pile_up(text_encoder):
    embedding = text_encoder.encode("cell")

    assert 50 * embedding.nbytes < TEXT_CACHE_BYTES < 500 * embedding.nbytes


@torch.inference_mode()
def test_a_text_that_just_fits_is_encoded(text_encoder):
    embedding = text_encoder.encode("x" * 30)

    assert embedding.attention_mask.all()


def test_a_text_that_is_too_long_is_refused_with_what_is_too_much(text_encoder):
    with pytest.raises(PromptError, match="2 tokens too long, the model would not read 'yz'"):
        text_encoder.encode("x" * 30 + "yz")


def test_a_folder_without_a_tokenizer_is_refused(tiny_sam3, tmp_path, sam3):
    folder = copytree(tiny_sam3, tmp_path / "sam3")
    for file in folder.glob("tokenizer*"):
        file.unlink()

    with pytest.raises(WeightsError, match="lacks its tokenizer"):
        TextEncoder.load(folder, sam3)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["", "{"])
def test_a_tokenizer_that_was_cut_off_is_refused(tiny_sam3, tmp_path, sam3, name, content):
    folder = copytree(tiny_sam3, tmp_path / "sam3")
    (folder / name).write_text(content)

    with pytest.raises(WeightsError, match=r"cannot be read: copy tokenizer\.json"):
        TextEncoder.load(folder, sam3)


def test_an_empty_tokenizer_is_refused(tiny_sam3, tmp_path, sam3):
    folder = copytree(tiny_sam3, tmp_path / "sam3")
    (folder / "tokenizer.json").write_text("{}")

    with pytest.raises(WeightsError, match=r"cannot be read: copy tokenizer\.json"):
        TextEncoder.load(folder, sam3)
