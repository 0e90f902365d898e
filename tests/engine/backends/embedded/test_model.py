from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.backends.embedded import feature_pyramid
from napari_sam3.engine.backends.embedded.feature_pyramid import FeaturePyramid
from napari_sam3.engine.backends.embedded.model import FORMAT, EmbeddedBackend, shipped_weights
from napari_sam3.values import ModelError, Prompts, WeightsError

Image = NDArray[np.float32]


def disc(shape: tuple[int, int], row: float, col: float, radius: float) -> NDArray[np.bool_]:
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def noisy_image(*masks: NDArray[np.bool_]) -> Image:
    noise = np.random.default_rng(0).normal(0.1, 0.02, masks[0].shape)
    grey = np.clip(noise + 0.6 * np.any(masks, axis=0), 0, 1).astype(np.float32)
    return np.repeat(grey[..., None], 3, axis=2)


def iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth))


def segment(backend: EmbeddedBackend, embedding: FeaturePyramid, prompts: Prompts) -> Prediction:
    return backend.segment(embedding, [prompts], [None])[0]


@pytest.fixture(scope="module")
def backend() -> EmbeddedBackend:
    return EmbeddedBackend.load(device="cpu")


@pytest.fixture(scope="module")
def cells() -> list[NDArray[np.bool_]]:
    discs = [(30, 30, 14), (36, 90, 12), (95, 40, 16), (96, 96, 11)]
    return [disc((128, 140), *numbers) for numbers in discs]


@pytest.fixture(scope="module")
def embedding(backend: EmbeddedBackend, cells: list[NDArray[np.bool_]]) -> FeaturePyramid:
    return backend.encode(noisy_image(*cells))


def test_a_click_gives_the_cell_under_it(backend, embedding, cells):
    prediction = segment(backend, embedding, Prompts([(30, 30)]))

    best = prediction.hypotheses[0]
    assert iou(best.pixels, cells[0]) > 0.8
    assert best.score > 0.5


def test_hypotheses_are_ordered_by_score_and_named_by_size(backend, embedding):
    hypotheses = segment(backend, embedding, Prompts([(30, 30)])).hypotheses

    scores = [hypothesis.score for hypothesis in hypotheses]
    areas = {hypothesis.name: hypothesis.pixels.sum() for hypothesis in hypotheses}
    assert 1 <= len(hypotheses) <= 3
    assert scores == sorted(scores, reverse=True)
    assert max(areas, key=areas.get) == "whole"


def test_a_mask_contains_every_positive_click(backend, embedding):
    clicks = [(30, 30), (3, 70), (125, 139)]

    prediction = segment(backend, embedding, Prompts(clicks))

    assert all(
        hypothesis.pixels[row, col] for hypothesis in prediction.hypotheses for row, col in clicks
    )


def test_a_mask_contains_no_negative_click(backend, embedding):
    clicks = [(30, 30), (30, 34), (22, 30)]

    prediction = segment(backend, embedding, Prompts(clicks, [True, False, False]))

    for hypothesis in prediction.hypotheses:
        assert hypothesis.pixels[30, 30]
        assert not hypothesis.pixels[30, 34]
        assert not hypothesis.pixels[22, 30]


def test_a_box_contains_its_mask(backend, embedding):
    box = (20.5, 18.2, 42.5, 40.5)

    prediction = segment(backend, embedding, Prompts(boxes=[box]))

    for hypothesis in prediction.hypotheses:
        rows, cols = np.nonzero(hypothesis.pixels)
        assert box[0] <= rows.min() <= rows.max() <= box[2]
        assert box[1] <= cols.min() <= cols.max() <= box[3]


def test_two_boxes_hold_a_part_each(backend, embedding, cells):
    boxes = [(15.5, 15.5, 44.5, 44.5), (78.5, 23.5, 111.5, 56.5)]

    prediction = segment(backend, embedding, Prompts(boxes=boxes))

    assert iou(prediction.hypotheses[0].pixels, cells[0] | cells[2]) > 0.6


def test_a_rough_outline_becomes_the_cell(backend, embedding, cells):
    outline = disc((128, 140), 33, 27, 14)

    prediction = segment(backend, embedding, Prompts(mask=outline))

    assert iou(prediction.hypotheses[0].pixels, cells[0]) > iou(outline, cells[0])


def test_an_outline_reaches_the_model_beside_a_click(backend, embedding):
    click = Prompts([(30, 30)])
    outlined = click.with_mask(disc((128, 140), 30, 30, 6))

    plain, guided = (segment(backend, embedding, prompts) for prompts in (click, outlined))

    assert guided.hypotheses[0].score != plain.hypotheses[0].score


def test_a_second_click_starts_from_the_first_prediction(backend, embedding):
    first = segment(backend, embedding, Prompts([(30, 30)]))
    second = Prompts([(30, 30), (36, 37)], [True, False])

    refined = backend.segment(embedding, [second], [first])[0]
    fresh = segment(backend, embedding, second)

    scores = [
        [hypothesis.score for hypothesis in prediction.hypotheses]
        for prediction in (refined, fresh)
    ]
    assert scores[0] != scores[1]


def test_a_prediction_keeps_nothing_of_its_batch(backend, embedding):
    clicks = [Prompts([(30, 30)]), Prompts([(36, 90)]), Prompts(boxes=[(79, 24, 111, 56)])]

    predictions = backend.segment(embedding, clicks, [None] * 3)

    outputs = [output for prediction in predictions for output in prediction.memory.values()]
    assert all(output.logits.base is None for output in outputs)
    assert all(
        prediction.nbytes > len(prediction.memory) * 56 * 56 * 4 for prediction in predictions
    )


@pytest.mark.parametrize("count", [5, 20])
def test_an_object_gets_the_same_mask_alone_and_in_a_batch(backend, embedding, count):
    click = Prompts([(36, 90)])
    clicks = [Prompts([(10 + 5 * n, 12 + 6 * n)]) for n in range(count)]

    alone = segment(backend, embedding, click)
    among = backend.segment(embedding, [*clicks, click], [None] * (count + 1))[-1]

    assert np.array_equal(alone.hypotheses[0].pixels, among.hypotheses[0].pixels)
    assert alone.hypotheses[0].score == pytest.approx(among.hypotheses[0].score, abs=1e-4)


def test_prompts_leave_an_embedding_as_it_was(backend, embedding):
    before = [level.fine.clone() for level in embedding.levels]
    nbytes = embedding.nbytes

    backend.segment(embedding, [Prompts([(96, 96)]), Prompts([(5, 5)])], [None, None])
    backend.everything(embedding)

    after = [level.fine for level in embedding.levels]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert embedding.nbytes == nbytes


def test_masks_are_read_only(backend, embedding):
    prediction = segment(backend, embedding, Prompts([(30, 30)]))

    assert not any(hypothesis.pixels.flags.writeable for hypothesis in prediction.hypotheses)


@pytest.mark.parametrize("radius", [4, 60, 230])
def test_small_and_large_objects_are_found_by_a_box(backend, radius):
    shape = (500, 520)
    mask = disc(shape, 250, 260, radius)
    embedding = backend.encode(noisy_image(mask))
    box = (250 - radius, 260 - radius, 250 + radius, 260 + radius)

    prediction = segment(backend, embedding, Prompts(boxes=[box]))

    assert iou(prediction.hypotheses[0].pixels, mask) > 0.75


@pytest.mark.parametrize("shape", [(2, 2), (1, 40), (7, 300), (97, 16)])
def test_images_of_any_size_are_segmented(backend, shape):
    image = noisy_image(disc(shape, 1, 1, 2))
    embedding = backend.encode(image)

    prediction = segment(backend, embedding, Prompts([(0, 1)]))
    found = backend.everything(embedding)
    memory = backend.update_memory(None, embedding, prediction)
    propagated = backend.propagate(embedding, [memory])[0]

    assert prediction.hypotheses[0].pixels.shape == shape
    assert prediction.hypotheses[0].pixels[0, 1]
    assert found.labels(0).shape == shape
    assert propagated.hypotheses[0].pixels.shape == shape


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_image_gives_finite_scores(backend, value):
    embedding = backend.encode(np.full((40, 50, 3), value, np.float32))

    prediction = segment(backend, embedding, Prompts([(20, 20)]))
    found = backend.everything(embedding)

    assert all(0 <= hypothesis.score <= 1 for hypothesis in prediction.hypotheses)
    assert np.isfinite(found.scores).all()


def test_tiles_give_the_same_as_the_whole(backend, monkeypatch):
    image = noisy_image(disc((600, 330), 250, 250, 30), disc((600, 330), 100, 90, 12))
    whole = backend.encode(image)
    monkeypatch.setattr(feature_pyramid, "TILE", 160)

    tiled = backend.encode(image)

    for level, by_tiles in zip(whole.levels, tiled.levels, strict=True):
        assert level.fine.shape == by_tiles.fine.shape
        assert torch.allclose(level.fine, by_tiles.fine, atol=0.15)
        assert torch.allclose(level.dense, by_tiles.dense, atol=0.4)
    click = Prompts([(250, 250)])
    masks = [
        segment(backend, embedding, click).hypotheses[0].pixels for embedding in (whole, tiled)
    ]
    assert iou(*masks) > 0.98


def test_zooming_into_patches_gives_the_same_as_zooming_into_all(backend):
    mask = disc((400, 420), 203, 207, 5)
    embedding = backend.encode(noisy_image(mask))
    box = Prompts(boxes=[(198, 202, 208, 212)])

    few = segment(backend, embedding, box)
    many = backend.segment(embedding, [box] * 40, [None] * 40)[0]

    assert iou(few.hypotheses[0].pixels, many.hypotheses[0].pixels) > 0.9


def test_everything_finds_the_cells(backend, embedding, cells):
    found = backend.everything(embedding)

    labels = found.labels(0.4)
    values = [np.bincount(labels[cell]).argmax() for cell in cells]
    assert 0 not in values
    assert len(set(values)) == len(cells)


def test_a_moved_cell_is_propagated(backend, cells):
    shape = (128, 140)
    before, after = disc(shape, 60, 60, 13), disc(shape, 64, 65, 13)
    memory = backend.update_memory(
        None, backend.encode(noisy_image(before)), Prediction.given(before)
    )

    prediction = backend.propagate(backend.encode(noisy_image(after)), [memory])[0]

    assert iou(prediction.hypotheses[0].pixels, after) > 0.75
    assert prediction.presence > 0.5


def test_a_vanished_cell_ends(backend):
    shape = (128, 140)
    before, neighbour = disc(shape, 40, 40, 13), disc(shape, 100, 110, 13)
    memory = backend.update_memory(
        None, backend.encode(noisy_image(before, neighbour)), Prediction.given(before)
    )

    prediction = backend.propagate(backend.encode(noisy_image(neighbour)), [memory])[0]

    assert not prediction.hypotheses[0].pixels.any()
    assert prediction.presence < 0.5


def test_propagating_leaves_a_memory_as_it_was(backend, embedding, cells):
    memory = backend.update_memory(None, embedding, Prediction.given(cells[0]))

    first = backend.propagate(embedding, [memory, memory])
    again = backend.propagate(embedding, [memory])

    assert np.array_equal(first[0].hypotheses[0].pixels, again[0].hypotheses[0].pixels)


def test_the_embedding_of_another_model_is_refused(backend):
    with pytest.raises(ModelError, match="another model"):
        backend.everything(np.zeros(3))


def test_another_device_is_refused():
    with pytest.raises(ModelError, match="device"):
        EmbeddedBackend.load(device="abacus")


def test_missing_weights_are_named(tmp_path):
    path = tmp_path / "none.safetensors"

    with pytest.raises(WeightsError, match=r"none\.safetensors cannot be read"):
        EmbeddedBackend.load(path)


def test_truncated_weights_are_named(tmp_path):
    path = tmp_path / "half.safetensors"
    path.write_bytes(shipped_weights().read_bytes()[:100_000])

    with pytest.raises(WeightsError, match=r"half\.safetensors is not a whole"):
        EmbeddedBackend.load(path)


def test_text_is_no_weights(tmp_path):
    path = tmp_path / "page.safetensors"
    path.write_text("<html>Not found</html>")

    with pytest.raises(WeightsError, match=r"page\.safetensors is not a whole"):
        EmbeddedBackend.load(path)


def test_weights_of_another_format_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(load_file(shipped_weights()), path, {"format": "something else"})

    with pytest.raises(WeightsError, match=r"'something else'.*choose another file"):
        EmbeddedBackend.load(path)


def test_missing_tensors_are_named(tmp_path):
    path = tmp_path / "gap.safetensors"
    tensors = load_file(shipped_weights())
    del tensors["decoder.masks.weight"]
    save_file(tensors, path, {"format": FORMAT})

    with pytest.raises(WeightsError, match=r"lacks decoder\.masks\.weight"):
        EmbeddedBackend.load(path)


def test_misshapen_tensors_are_named(tmp_path):
    path = tmp_path / "bent.safetensors"
    tensors = load_file(shipped_weights())
    tensors["decoder.masks.bias"] = torch.zeros(5)
    save_file(tensors, path, {"format": FORMAT})

    with pytest.raises(WeightsError, match=r"decoder\.masks\.bias"):
        EmbeddedBackend.load(path)


def test_tensors_of_whole_numbers_are_named(tmp_path):
    path = tmp_path / "round.safetensors"
    tensors = load_file(shipped_weights())
    tensors["decoder.masks.bias"] = tensors["decoder.masks.bias"].to(torch.int32)
    save_file(tensors, path, {"format": FORMAT})

    with pytest.raises(WeightsError, match=r"whole numbers in decoder\.masks\.bias"):
        EmbeddedBackend.load(path)


def test_tensors_that_are_no_numbers_are_named(tmp_path):
    path = tmp_path / "spoiled.safetensors"
    tensors = load_file(shipped_weights())
    tensors["decoder.masks.bias"][0] = torch.nan
    save_file(tensors, path, {"format": FORMAT})

    with pytest.raises(WeightsError, match=r"no numbers in decoder\.masks\.bias"):
        EmbeddedBackend.load(path)


def test_other_weights_have_another_revision(backend, tmp_path):
    path = tmp_path / "new.safetensors"
    tensors = load_file(shipped_weights())
    tensors["decoder.masks.bias"] += 1
    save_file(tensors, path, {"format": FORMAT})

    changed = EmbeddedBackend.load(path, device="cpu")

    assert changed.revision != backend.revision


AFTER_A_CANVAS = """
import sys
import numpy as np
import napari
viewer = napari.Viewer(show=False)
viewer.add_image(np.random.default_rng(0).random((64, 64)))
from napari_sam3.engine.backends.embedded.model import EmbeddedBackend
from napari_sam3.values import Prompts
backend = EmbeddedBackend.load(device="cpu")
embedding = backend.encode(np.zeros((64, 64, 3), np.float32))
backend.segment(embedding, [Prompts([(30, 30)])], [None])
print("triton" in sys.modules and sys.modules["triton"] is not None)
viewer.close()
"""


@pytest.mark.skipif(
    sys.platform == "linux" and not os.environ.get("DISPLAY"), reason="a canvas needs a display"
)
def test_the_model_segments_after_a_canvas_was_drawn(tmp_path: Path):
    run = subprocess.run(
        [sys.executable, "-c", AFTER_A_CANVAS],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().splitlines()[-1] == "False"


def test_brightness_says_nothing_about_the_end_of_an_object_that_hardly_stands_out(backend):
    noise = np.random.default_rng(0).random((128, 140, 1), np.float32).repeat(3, 2)
    cell = disc((128, 140), 60, 60, 13)
    faint, clear = noise + 0.1 * cell[..., None], noise * 0.1 + 0.8 * cell[..., None]

    memories = [
        backend.update_memory(
            None, backend.encode(image.astype(np.float32)), Prediction.given(cell)
        )
        for image in (faint / 1.1, clear)
    ]

    assert memories[0].contrast == 0
    assert memories[1].contrast > 0.7
