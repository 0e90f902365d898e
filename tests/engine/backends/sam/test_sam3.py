from __future__ import annotations

from shutil import copytree

import numpy as np
import pytest
import torch

from napari_sam3.engine import Engine, Prompts
from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.backends.embedded.model import EmbeddedBackend
from napari_sam3.engine.backends.sam.sam3 import Sam3Backend
from napari_sam3.engine.images.frames import Frames
from napari_sam3.values.candidates import Concept
from napari_sam3.values.errors import ModelError, WeightsError
from tests.tiny_models import load_tiny, visits

SHAPE = (150, 200)
BOX = (10, 20, 60, 90)
CLICK = Prompts([(60, 100)])
BLACK = np.zeros((32, 32, 3), np.float32)


def fill(*_):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory")


def last(masks):
    return list(masks)[-1]


@pytest.fixture(scope="module")
def backend(tiny_sam3) -> Sam3Backend:
    return Sam3Backend.load(tiny_sam3, "cpu", "float32")


@pytest.fixture(scope="module")
def stack():
    return Frames.from_array(np.random.default_rng(0).integers(0, 255, (4, *SHAPE), np.uint8))


@pytest.fixture
def session(backend, stack):
    return Engine(backend).open(stack)


@pytest.fixture
def encoded(backend):
    """Collect the images that are encoded meanwhile."""
    with visits(backend._model.trunk) as images:
        yield images


def test_a_second_prompt_of_any_kind_encodes_nothing(session, encoded):
    session.segment(0, CLICK)

    session.segment(0, Prompts([(60, 100), (20, 20)], [True, False]))
    session.segment(0, Prompts(boxes=[BOX]), object_id=2)
    session.segment(0, Prompts(mask=np.pad(np.ones((50, 50), bool), ((50, 50), (50, 100)))), 3)
    session.find(0, "cell")
    session.find(0, exemplars=[BOX])
    session.find(0, "nucleus", [BOX], [(80, 100, 120, 150)])
    session.everything(0)
    list(session.propagate({(0, 1): CLICK}, range(0, 1)))

    assert len(encoded) == 1


def test_frames_used_again_are_not_encoded_again(session, encoded):
    for frame in (1, 2, 1):
        session.segment(frame, CLICK)

    assert len(encoded) == 2


def test_propagation_encodes_only_new_frames(session, encoded):
    session.segment(0, CLICK)
    session.find(2, "cell")

    masks = list(session.propagate({(0, 1): CLICK}))

    assert [mask.frame for mask in masks] == [0, 1, 2, 3]
    assert len(encoded) == 4


def test_detection_on_all_frames_encodes_only_new_frames(session, encoded):
    session.segment(1, CLICK)

    found = list(session.find_all("cell"))

    assert [candidates.frame for candidates in found] == [0, 1, 2, 3]
    assert len(encoded) == 4


def test_embeddings_are_shared_with_another_session(backend, stack, encoded):
    engine = Engine(backend)
    engine.open(stack).find(0, "cell")

    engine.open(stack).segment(0, CLICK)

    assert len(encoded) == 1


@torch.inference_mode()
def test_a_click_is_decoded_as_by_the_stock_tracker(tiny_sam3, backend):
    stock = load_tiny("Sam3TrackerModel", tiny_sam3)
    inputs = load_tiny("Sam3TrackerProcessor", tiny_sam3)(
        input_points=[[[[100, 60]]]], input_labels=[[[1]]], original_sizes=[SHAPE]
    )
    image = np.random.default_rng(0).random((*SHAPE, 3), np.float32)
    embedding = backend.encode(image)
    pyramid = backend._model.pyramid(embedding)
    coarse = pyramid.coarse + stock.no_memory_embedding.view(1, -1, 1, 1)
    expected = stock(
        image_embeddings=[pyramid.fine, pyramid.middle, coarse],
        input_points=inputs["input_points"],
        input_labels=inputs["input_labels"],
    )

    prediction = backend.segment(embedding, [CLICK], [None])[0]

    best = expected.iou_scores[0, 0].argmax()
    logits = prediction.memory[prediction.hypotheses[0].name]
    torch.testing.assert_close(logits, expected.pred_masks[0, 0, best], atol=1e-4, rtol=0)


def test_masks_and_candidates_have_the_shape_of_the_image(session):
    mask = session.segment(0, CLICK)
    found = session.find(0, "cell")

    assert mask.pixels.shape == SHAPE
    assert found.labels(0.1).shape == SHAPE
    assert found.labels(0.1).any()


def test_colours_change_the_embedding(backend):
    red, blue = (np.zeros((*SHAPE, 3), np.float32) for _ in range(2))
    red[..., 0] = blue[..., 2] = 1

    embeddings = [backend.encode(image) for image in (red, blue)]

    assert not torch.equal(embeddings[0].tokens, embeddings[1].tokens)


def test_the_model_has_the_name_of_its_folder(tiny_sam3, tmp_path):
    folder = copytree(tiny_sam3, tmp_path / "my-sam3")

    backend = Sam3Backend.load(folder, "cpu", "float32")

    assert backend.name == "my-sam3"
    assert backend.device == "cpu"


def test_the_embedding_of_another_model_is_refused(backend):
    foreign = EmbeddedBackend.load(device="cpu").encode(BLACK)

    with pytest.raises(ModelError, match="encoded by another model"):
        backend.segment(foreign, [CLICK], [None])


def test_a_full_graphics_card_is_reported_with_what_to_do(backend, monkeypatch):
    embedding = backend.encode(BLACK)
    monkeypatch.setattr(backend._model, "encode_batch", fill)
    monkeypatch.setattr(backend._model, "detector_features", fill)

    with pytest.raises(ModelError, match=r"close other programs.*smaller model.*cpu"):
        backend.encode(BLACK)
    with pytest.raises(ModelError, match=r"close other programs.*smaller model.*cpu"):
        backend.find(embedding, Concept("cell"))


def test_another_model_is_refused(tiny_sam1):
    with pytest.raises(WeightsError, match="not SAM 3"):
        Sam3Backend.load(tiny_sam1, "cpu", "float32")


def test_bfloat16_changes_no_kind_of_prompt_by_much(tiny_sam3, backend, stack):
    bfloat16 = Sam3Backend.load(tiny_sam3, "cpu", "bfloat16")
    sessions = [Engine(model).open(stack) for model in (bfloat16, backend)]

    clicked = [session.segment(0, CLICK).pixels for session in sessions]
    detected = [session.find(0, "cell").labels(0.05) > 0 for session in sessions]
    propagated = [last(session.propagate({(0, 1): CLICK})).pixels for session in sessions]

    assert np.mean(clicked[0] == clicked[1]) > 0.95
    assert np.mean(detected[0] == detected[1]) > 0.95
    assert np.mean(propagated[0] == propagated[1]) > 0.9


def test_a_click_is_decoded_the_same_after_propagation(tiny_sam3):
    bfloat16 = Sam3Backend.load(tiny_sam3, "cpu", "bfloat16")
    image = np.random.default_rng(0).random((*SHAPE, 3), np.float32)
    fresh, propagated = bfloat16.encode(image), bfloat16.encode(image)
    bfloat16.propagate(
        propagated,
        [bfloat16.update_memory(None, propagated, Prediction.given(image[..., 0] > 0.5))],
    )

    predictions = [
        bfloat16.segment(embedding, [CLICK], [None])[0] for embedding in (fresh, propagated)
    ]

    assert predictions[0].hypotheses[0].score == predictions[1].hypotheses[0].score
    assert np.array_equal(*(prediction.pixels for prediction in predictions))
