from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sam3.engine import Engine, Prompts
from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.backends.embedded.model import EmbeddedBackend
from napari_sam3.engine.backends.sam.sam2 import Sam2Backend
from napari_sam3.values.candidates import Concept
from napari_sam3.values.errors import ModelError, WeightsError
from tests.tiny_models import SAM2_SIDE, load_tiny, visits

SHAPE = (SAM2_SIDE, SAM2_SIDE)  # nothing is resized, so nothing is rounded
CLICK = Prompts([(40, 50)])


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)


@pytest.fixture(scope="module")
def seen(image):
    return image / np.float32(255)


@pytest.fixture(scope="module")
def sam2(tiny_sam2) -> Sam2Backend:
    return Sam2Backend.load(tiny_sam2, "cpu", "float32")


@pytest.fixture(scope="module", params=["tiny_sam2", "tiny_edgetam"])
def any_backend(request) -> Sam2Backend:
    return Sam2Backend.load(request.getfixturevalue(request.param), "cpu", "float32")


@pytest.fixture
def unrounded(monkeypatch) -> None:
    """Keep all digits of an embedding, to compare with other classes."""
    monkeypatch.setattr(
        "napari_sam3.engine.backends.sam.sam2.stored", lambda values, precision: values
    )


@pytest.fixture
def folder(tiny_sam2, tmp_path) -> Path:
    """Return a checkpoint that a test may spoil."""
    return Path(copytree(tiny_sam2, tmp_path / "sam2"))


def outline() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[20:60, 30:80] = True
    return mask


@torch.inference_mode()
@pytest.mark.parametrize(
    ("tiny", "model"), [("tiny_sam2", "Sam2Model"), ("tiny_edgetam", "EdgeTamModel")]
)
@pytest.mark.parametrize(
    ("prompts", "asked", "is_ambiguous"),
    [
        (CLICK, {"input_points": [[[[50, 40]]]], "input_labels": [[[1]]]}, True),
        (Prompts(boxes=[(10, 20, 60, 90)]), {"input_boxes": [[[20, 10, 90, 60]]]}, False),
    ],
)
def test_prompts_on_an_image_are_answered_as_by_the_stock_model(
    request, unrounded, image, seen, tiny, model, prompts, asked, is_ambiguous
):
    folder = request.getfixturevalue(tiny)
    backend = Sam2Backend.load(folder, "cpu", "float32")
    inputs = load_tiny("Sam2Processor", folder)(images=image, return_tensors="pt", **asked)
    sizes = inputs.pop("original_sizes")
    expected = load_tiny(model, folder).eval()(**inputs, multimask_output=is_ambiguous)

    answer = backend.segment(backend.encode(seen), [prompts], [None])[0]

    best = expected.iou_scores[0, 0].argmax()
    logits = expected.pred_masks[0, 0, best]
    name = answer.hypotheses[0].name
    torch.testing.assert_close(answer.memory[name], logits, atol=1e-4, rtol=0)
    assert sizes.tolist() == [list(answer.pixels.shape)]


def test_an_embedding_holds_what_the_decoder_needs_and_no_pixels(sam2, seen):
    embedding = sam2.encode(seen)

    assert embedding.nbytes == 2 * sum(level.numel() for level in embedding.levels)
    assert [level.shape[-1] for level in embedding.levels] == [32, 16, 8]


def test_short_numbers_change_little(tiny_sam2, sam2, seen):
    short = Sam2Backend.load(tiny_sam2, "cpu", "bfloat16")

    embeddings = [backend.encode(seen) for backend in (sam2, short)]
    answers = [
        backend.segment(embedding, [CLICK], [None])[0]
        for backend, embedding in zip((sam2, short), embeddings, strict=True)
    ]

    assert embeddings[1].nbytes == embeddings[0].nbytes
    one, other = (answer.memory["whole"] for answer in answers)
    assert (one - other).abs().mean() < 0.02 * one.abs().mean()


def test_objects_are_followed_in_short_numbers(tiny_sam2, seen):
    backend = Sam2Backend.load(tiny_sam2, "cpu", "bfloat16")
    embedding = backend.encode(seen)
    track = backend.update_memory(None, embedding, Prediction.given(outline()))

    answer = backend.propagate(embedding, [track])[0]
    longer = backend.update_memory(track, embedding, answer)

    assert answer.pixels.any()
    assert longer.steps == 1


def test_sixteen_clicked_objects_are_followed_in_one_pass_a_frame(any_backend):
    stack = np.random.default_rng(1).integers(0, 256, (4, 90, 140), np.uint8)
    session = Engine(any_backend).open(stack)
    prompts = {(0, i): Prompts([(5 + 5 * i, 8 * i)]) for i in range(16)}

    with (
        visits(any_backend._model.mask_decoder) as decoded,
        visits(any_backend._model.memory_attention) as recalled,
    ):
        masks = list(session.propagate(prompts))

    assert len(masks) == 4 * 16
    assert all(mask.pixels.shape == (90, 140) for mask in masks)
    assert len(recalled) == 3
    assert len(decoded) == 1 + 16 + 3  # the clicks, one pointer for each given mask, and frames


def test_a_second_click_encodes_nothing_and_refines(sam2):
    stack = np.random.default_rng(1).integers(0, 256, (2, 90, 140), np.uint8)
    session = Engine(sam2).open(stack)

    with visits(sam2._model.vision_encoder) as encoded:
        first = session.segment(0, CLICK)
        second = session.segment(0, Prompts([(40, 50), (5, 5)], [True, False]))

    assert len(encoded) == 1
    assert (len(first.alternatives), len(second.alternatives)) == (3, 1)


def test_everything_is_asked_with_a_grid_of_clicks(any_backend, seen):
    embedding = any_backend.encode(seen)

    with visits(any_backend._model.mask_decoder) as decoded:
        found = any_backend.everything(embedding)

    assert found.shape == SHAPE
    assert len(decoded) == 1


def test_concepts_are_refused(sam2, seen):
    with pytest.raises(ModelError, match="click on the objects"):
        sam2.find(sam2.encode(seen), Concept("cell"))


def test_the_embedding_of_another_model_is_refused(sam2):
    other = EmbeddedBackend.load(device="cpu").encode(np.zeros((32, 32, 3), np.float32))

    with pytest.raises(ModelError, match="embedded by another model"):
        sam2.segment(other, [CLICK], [None])


def test_the_revision_names_weights_and_precision(tiny_sam2, folder, sam2):
    weights = load_file(folder / "model.safetensors")
    weights["no_memory_embedding"] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    same, short = (Sam2Backend.load(tiny_sam2, "cpu", one) for one in ("float32", "bfloat16"))
    others = Sam2Backend.load(folder, "cpu", "float32")

    assert same.revision == sam2.revision
    assert len({sam2.revision, short.revision, others.revision}) == 3


def test_another_size_of_images_is_another_revision(folder, sam2):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "image_size": 2 * SAM2_SIDE}))

    larger = Sam2Backend.load(folder, "cpu", "float32")

    assert larger.revision != sam2.revision


def test_weights_without_a_memory_are_refused_by_name(folder):
    weights = load_file(folder / "model.safetensors")
    kept = {name: one for name, one in weights.items() if "memory_attention" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(WeightsError, match=r"lacks memory_attention\..* other weights"):
        Sam2Backend.load(folder, "cpu", "float32")


def test_another_model_is_refused(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "sam"}))

    with pytest.raises(WeightsError, match="neither SAM 2 nor EdgeTAM"):
        Sam2Backend.load(folder, "cpu", "float32")


def test_a_full_graphics_card_is_told_with_what_to_do(sam2, seen, monkeypatch):
    def fill(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sam2, "_levels", fill)

    with pytest.raises(ModelError, match=r"close other programs.*smaller model.*cpu"):
        sam2.encode(seen)
