from __future__ import annotations

from shutil import copytree

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_sam3.engine.backends.sam import concepts
from napari_sam3.engine.backends.sam.concepts import (
    LOWEST_SCORE,
    PHRASE_BYTES,
    Crop,
    Detections,
    Detector,
    Texts,
    distinct,
    relative_boxes,
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
def detector(sam3, texts) -> Detector:
    return Detector(sam3, texts)


@pytest.mark.parametrize(("concept", "text", "boxes"), CONCEPTS, ids=["text", "box", "both"])
@torch.inference_mode()
def test_a_concept_is_detected_as_the_stock_model_detects_it(
    tiny_sam3, detector, pixel_values, exact, concept, text, boxes
):
    stock = load_tiny("Sam3Model", tiny_sam3)
    asked = load_tiny("Sam3Processor", tiny_sam3)(
        text=text,
        input_boxes=[boxes] if boxes else None,
        input_boxes_labels=[[1, 0][: len(boxes)]] if boxes else None,
        original_sizes=[SHAPE],
        return_tensors="pt",
    )
    del asked["original_sizes"]
    expected = stock(pixel_values=pixel_values, **asked)

    found = detector.detect(exact, concept)

    scores = expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid()
    torch.testing.assert_close(found.logits, expected.pred_masks[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.scores, scores[0], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_exemplars_change_what_is_found(detector, exact):
    plain, meant, not_meant = (
        detector.detect(exact, Concept("cell", *boxes)).scores
        for boxes in ([], [[EXEMPLAR]], [[], [EXEMPLAR]])
    )

    assert not torch.equal(plain, meant)
    assert not torch.equal(meant, not_meant)


def exemplar_of(detector: Detector, embedding, box) -> Exemplar:
    picture = np.zeros((9, 9, 3), np.uint8)
    return Exemplar(detector.appearance(embedding, box), "sam3", "1", picture, (2, 2, 6, 6))


@pytest.mark.parametrize("kind", ["exemplars", "negatives"])
@torch.inference_mode()
def test_what_was_kept_of_a_box_says_the_same_as_the_box(detector, exact, kind):
    kept = exemplar_of(detector, exact, EXEMPLAR)

    drawn, shown = (
        detector.detect(exact, Concept("cell", **{kind: [one]})) for one in (EXEMPLAR, kept)
    )

    torch.testing.assert_close(shown.logits, drawn.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(shown.scores, drawn.scores, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_an_exemplar_is_shown_on_another_image_without_its_own(sam3, detector, exact):
    kept = exemplar_of(detector, exact, EXEMPLAR)
    other = Sam3Embedding(exact.tokens.flip(1), (80, 90))

    with visits(sam3.detector.vision_encoder.neck.fpn_layers[0]) as seen:
        plain, shown = (detector.find(other, Concept("cell", boxes)) for boxes in ([], [kept]))

    assert len(seen) == 1
    assert shown.shape == (80, 90)
    assert plain.scores.tolist() != shown.scores.tolist()


@torch.inference_mode()
def test_an_exemplar_from_elsewhere_stands_beside_a_box(detector, exact):
    kept = exemplar_of(detector, exact, EXEMPLAR)

    one, both = (
        detector.detect(exact, Concept(None, boxes)).scores
        for boxes in ([NEGATIVE], [NEGATIVE, kept])
    )

    assert not torch.equal(one, both)


@pytest.mark.parametrize(("busy", "is_saturated"), [(200, True), (195, True), (180, False)])
def test_hardly_any_free_query_means_that_objects_may_be_left_over(busy, is_saturated):
    scores = torch.cat([torch.full((busy,), 0.3), torch.full((200 - busy,), 0.05)])

    assert Detections(torch.zeros(200, 1, 1), scores).is_saturated == is_saturated


@torch.inference_mode()
def test_candidates_say_whether_objects_may_be_left_over(detector, exact, monkeypatch):
    for useful, is_saturated in [(0.0, True), (1.0, False)]:
        monkeypatch.setattr(concepts, "USEFUL", useful)

        assert detector.find(exact, Concept("cell")).is_saturated == is_saturated


@torch.inference_mode()
def test_a_second_concept_encodes_no_image(sam3, detector, exact):
    detector.find(exact, Concept("cell"))

    with visits(sam3.detector.vision_encoder.neck.fpn_layers[0]) as seen:
        detector.find(exact, Concept("nucleus", [EXEMPLAR]))

    assert seen == []


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
    all_of_them = Detections(torch.arange(3.0)[:, None, None], scores)

    best = all_of_them.best()

    assert best.scores.tolist() == scores[[2, 1]].tolist()
    assert best.logits.flatten().tolist() == [2, 1]


@pytest.mark.parametrize("shape", [(150, 200), (20, 333), (32, 32)])
def test_a_crop_is_what_upscaling_the_whole_map_gives(shape):
    logits = torch.full((32, 32), -2.0)
    logits[5:11, 20:29] = torch.rand(6, 9, generator=torch.Generator().manual_seed(0)) * 4

    crop = Crop.drawn(logits, shape)

    whole = F.interpolate(logits[None, None], shape, mode="bilinear")[0, 0].numpy() > 0
    top, left, bottom, right = crop.box
    np.testing.assert_array_equal(crop.mask, whole[top:bottom, left:right])
    assert crop.mask.sum() == whole.sum()
    assert crop.mask.any(axis=0).all()  # no column and no row is empty
    assert crop.mask.any(axis=1).all()


def test_a_crop_of_nothing_is_empty():
    crop = Crop.drawn(torch.full((8, 8), -1.0), SHAPE)

    assert crop.mask.size == 0


def test_a_mask_that_a_better_one_repeats_is_dropped():
    masks = torch.zeros(4, 8, 8, dtype=torch.bool)
    masks[0, :4] = True
    masks[1, :3] = True  # three quarters of the first
    masks[2, 3:6] = True  # shares a row with the first
    masks[3, :2] = True  # half of the first, two thirds of the second, which is gone

    kept = distinct(masks)

    assert kept == [0, 2, 3]


def test_boxes_reach_from_edge_to_edge_of_the_image():
    whole = (SHAPE[0] - 0.5, -0.5, -0.5, SHAPE[1] - 0.5)  # two opposite corners, in any order
    beyond = (-20.0, -20.0, 74.5, 500.0)

    boxes = relative_boxes([whole, beyond], SHAPE)

    torch.testing.assert_close(boxes, torch.tensor([[[0.5, 0.5, 1, 1], [0.5, 0.25, 1, 0.5]]]))


@torch.inference_mode()
def test_a_text_is_read_as_the_stock_model_reads_it(tiny_sam3, texts):
    stock = load_tiny("Sam3Model", tiny_sam3)
    said = load_tiny("Sam3Processor", tiny_sam3)(text="cell", return_tensors="pt")

    phrase = texts.read("cell")

    expected = stock.get_text_features(**said).pooler_output
    torch.testing.assert_close(phrase.features, expected)
    assert phrase.has_text.sum() == 6  # four letters between a start and an end


@torch.inference_mode()
def test_a_text_is_read_once(sam3, texts):
    with visits(sam3.detector.text_encoder) as seen:
        texts.read("mitochondria")
        texts.read("mitochondria")

    assert len(seen) == 1


@torch.inference_mode()
def test_phrases_do_not_pile_up(texts):
    phrase = texts.read("cell")

    assert 50 * phrase.nbytes < PHRASE_BYTES < 500 * phrase.nbytes


@torch.inference_mode()
def test_a_text_that_just_fits_is_read(texts):
    phrase = texts.read("x" * 30)

    assert phrase.has_text.all()


def test_a_text_that_is_too_long_is_refused_with_what_is_too_much(texts):
    with pytest.raises(PromptError, match="2 tokens too long, the model would not read 'yz'"):
        texts.read("x" * 30 + "yz")


def test_a_folder_without_a_tokenizer_is_refused(tiny_sam3, tmp_path, sam3):
    folder = copytree(tiny_sam3, tmp_path / "sam3")
    for file in folder.glob("tokenizer*"):
        file.unlink()

    with pytest.raises(WeightsError, match="lacks its tokenizer"):
        Texts.load(folder, sam3)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["", "{"])
def test_a_tokenizer_that_was_cut_off_is_refused(tiny_sam3, tmp_path, sam3, name, content):
    folder = copytree(tiny_sam3, tmp_path / "sam3")
    (folder / name).write_text(content)

    with pytest.raises(WeightsError, match=r"cannot be read: copy tokenizer\.json"):
        Texts.load(folder, sam3)


def test_a_tokenizer_that_says_nothing_is_refused(tiny_sam3, tmp_path, sam3):
    folder = copytree(tiny_sam3, tmp_path / "sam3")
    (folder / "tokenizer.json").write_text("{}")

    with pytest.raises(WeightsError, match=r"cannot be read: copy tokenizer\.json"):
        Texts.load(folder, sam3)
