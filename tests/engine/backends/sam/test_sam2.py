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
def pixels(image):
    return image / np.float32(255)


@pytest.fixture(scope="module")
def sam2(tiny_sam2) -> Sam2Backend:
    return Sam2Backend.load(tiny_sam2, "cpu", "float32")


@pytest.fixture(scope="module", params=["tiny_sam2", "tiny_edgetam"])
def any_backend(request) -> Sam2Backend:
    return Sam2Backend.load(request.getfixturevalue(request.param), "cpu", "float32")


@pytest.fixture
def unrounded(monkeypatch) -> None:
    """Keep all digits of an embedding, to compare with foreign classes."""
    monkeypatch.setattr(
        "napari_sam3.engine.backends.sam.sam2.to_16_bits", lambda values, precision: values
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
    ("prompts", "stock_prompts", "is_ambiguous"),
    [
        (CLICK, {"input_points": [[[[50, 40]]]], "input_labels": [[[1]]]}, True),
        (Prompts(boxes=[(10, 20, 60, 90)]), {"input_boxes": [[[20, 10, 90, 60]]]}, False),
    ],
)
def test_prompts_on_an_image_are_decoded_as_by_the_stock_model(
    request, unrounded, image, pixels, tiny, model, prompts, stock_prompts, is_ambiguous
):
    folder = request.getfixturevalue(tiny)
    backend = Sam2Backend.load(folder, "cpu", "float32")
    inputs = load_tiny("Sam2Processor", folder)(images=image, return_tensors="pt", **stock_prompts)
    sizes = inputs.pop("original_sizes")
    expected = load_tiny(model, folder).eval()(**inputs, multimask_output=is_ambiguous)

    prediction = backend.segment(backend.encode(pixels), [prompts], [None])[0]

    best = expected.iou_scores[0, 0].argmax()
    logits = expected.pred_masks[0, 0, best]
    name = prediction.hypotheses[0].name
    torch.testing.assert_close(prediction.memory[name], logits, atol=1e-4, rtol=0)
    assert sizes.tolist() == [list(prediction.pixels.shape)]


def test_an_embedding_holds_what_the_decoder_needs_and_no_pixels(sam2, pixels):
    embedding = sam2.encode(pixels)

    assert embedding.nbytes == 2 * sum(level.numel() for level in embedding.levels)
    assert [level.shape[-1] for level in embedding.levels] == [32, 16, 8]


def test_bfloat16_changes_little(tiny_sam2, sam2, pixels):
    bfloat16 = Sam2Backend.load(tiny_sam2, "cpu", "bfloat16")

    embeddings = [backend.encode(pixels) for backend in (sam2, bfloat16)]
    predictions = [
        backend.segment(embedding, [CLICK], [None])[0]
        for backend, embedding in zip((sam2, bfloat16), embeddings, strict=True)
    ]

    assert embeddings[1].nbytes == embeddings[0].nbytes
    exact, rounded = (prediction.memory["whole"] for prediction in predictions)
    assert (exact - rounded).abs().mean() < 0.02 * exact.abs().mean()


def test_objects_are_propagated_in_bfloat16(tiny_sam2, pixels):
    backend = Sam2Backend.load(tiny_sam2, "cpu", "bfloat16")
    embedding = backend.encode(pixels)
    bank = backend.update_memory(None, embedding, Prediction.given(outline()))

    prediction = backend.propagate(embedding, [bank])[0]
    extended = backend.update_memory(bank, embedding, prediction)

    assert prediction.pixels.any()
    assert extended.steps == 1


def test_sixteen_clicked_objects_are_one_batch_a_frame(any_backend):
    stack = np.random.default_rng(1).integers(0, 256, (4, 90, 140), np.uint8)
    session = Engine(any_backend).open(stack)
    prompts = {(0, i): Prompts([(5 + 5 * i, 8 * i)]) for i in range(16)}

    with (
        visits(any_backend._model.mask_decoder) as decoded,
        visits(any_backend._model.memory_attention) as attended,
    ):
        masks = list(session.propagate(prompts))

    assert len(masks) == 4 * 16
    assert all(mask.pixels.shape == (90, 140) for mask in masks)
    assert len(attended) == 3
    assert len(decoded) == 1 + 16 + 3  # the clicks, one pointer for each given mask, and frames


def test_a_second_click_encodes_nothing_and_refines(sam2):
    stack = np.random.default_rng(1).integers(0, 256, (2, 90, 140), np.uint8)
    session = Engine(sam2).open(stack)

    with visits(sam2._model.vision_encoder) as encoded:
        first = session.segment(0, CLICK)
        second = session.segment(0, Prompts([(40, 50), (5, 5)], [True, False]))

    assert len(encoded) == 1
    assert (len(first.alternatives), len(second.alternatives)) == (3, 1)


def test_everything_is_detected_with_a_grid_of_points(any_backend, pixels):
    embedding = any_backend.encode(pixels)

    with visits(any_backend._model.mask_decoder) as decoded:
        candidates = any_backend.everything(embedding)

    assert candidates.shape == SHAPE
    assert len(decoded) == 1


def test_concepts_are_refused(sam2, pixels):
    with pytest.raises(ModelError, match="click on the objects"):
        sam2.find(sam2.encode(pixels), Concept("cell"))


def test_the_embedding_of_another_model_is_refused(sam2):
    foreign = EmbeddedBackend.load(device="cpu").encode(np.zeros((32, 32, 3), np.float32))

    with pytest.raises(ModelError, match="encoded by another model"):
        sam2.segment(foreign, [CLICK], [None])


def test_the_revision_names_weights_and_precision(tiny_sam2, folder, sam2):
    weights = load_file(folder / "model.safetensors")
    weights["no_memory_embedding"] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    same, bfloat16 = (
        Sam2Backend.load(tiny_sam2, "cpu", precision) for precision in ("float32", "bfloat16")
    )
    changed = Sam2Backend.load(folder, "cpu", "float32")

    assert same.revision == sam2.revision
    assert len({sam2.revision, bfloat16.revision, changed.revision}) == 3


def test_another_size_of_images_is_another_revision(folder, sam2):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "image_size": 2 * SAM2_SIDE}))

    larger = Sam2Backend.load(folder, "cpu", "float32")

    assert larger.revision != sam2.revision


def test_weights_without_memory_attention_are_refused_by_name(folder):
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "memory_attention" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(WeightsError, match=r"lacks memory_attention\..* other weights"):
        Sam2Backend.load(folder, "cpu", "float32")


def test_another_model_is_refused(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "sam"}))

    with pytest.raises(WeightsError, match="neither SAM 2 nor EdgeTAM"):
        Sam2Backend.load(folder, "cpu", "float32")


def test_a_full_graphics_card_is_reported_with_what_to_do(sam2, pixels, monkeypatch):
    def fill(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sam2, "_encoded_levels", fill)

    with pytest.raises(ModelError, match=r"close other programs.*smaller model.*cpu"):
        sam2.encode(pixels)
