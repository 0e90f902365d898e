from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sam3.engine.backends.sam.sam3_model import RecentFeatures, Sam3, Sam3Embedding
from napari_sam3.values.errors import WeightsError
from tests.tiny_models import load_tiny, visits

SHAPE = (150, 200)


@pytest.fixture
def folder(tiny_sam3: Path, tmp_path: Path) -> Path:
    """Return a checkpoint that a test may spoil."""
    return Path(copytree(tiny_sam3, tmp_path / "sam3"))


def rewrite(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_the_image_encoder_is_in_memory_once(tiny_sam3, sam3):
    weights_on_disk = load_file(tiny_sam3 / "model.safetensors")
    modules = [*sam3.detector.modules(), *sam3.tracker.modules()]

    encoders = [module for module in modules if isinstance(module, type(sam3.trunk))]

    assert encoders == [sam3.trunk]
    assert sum(weights.numel() for weights in sam3.trunk.parameters()) == sum(
        weights.numel() for name, weights in weights_on_disk.items() if ".backbone." in name
    )


@torch.inference_mode()
def test_an_embedding_takes_half_of_the_bytes(sam3, pixel_values):
    embedding = sam3.encode(pixel_values, SHAPE)

    assert embedding.tokens.shape == (1, sam3.grid**2, 32)
    assert embedding.nbytes == 2 * embedding.tokens.numel()


@torch.inference_mode()
def test_an_embedding_of_huge_values_stays_finite(sam3, pixel_values):
    embedding = sam3.encode(pixel_values * 1e9, SHAPE)

    assert embedding.tokens.isfinite().all()


@torch.inference_mode()
def test_the_tracker_reads_the_features_of_the_stock_model(tiny_sam3, sam3, pixel_values, exact):
    stock = load_tiny("Sam3VideoModel", tiny_sam3)
    vision = stock.detector_model.get_vision_features(pixel_values)
    features, positions = stock.get_vision_features_for_tracker(vision)

    pyramid = sam3.pyramid(exact)

    levels = (pyramid.fine, pyramid.middle, pyramid.coarse)
    for level, expected in zip(levels, features, strict=True):
        torch.testing.assert_close(level.flatten(2).permute(2, 0, 1), expected)
    torch.testing.assert_close(
        pyramid.positional_encoding.flatten(2).permute(2, 0, 1), positions[-1]
    )
    assert pyramid.shape == SHAPE


@torch.inference_mode()
def test_the_pyramid_of_an_image_is_derived_once(sam3, exact):
    with visits(sam3.tracker.mask_decoder.conv_s0) as derivations:
        first, second = sam3.pyramid(exact), sam3.pyramid(exact)

    assert first is second
    assert len(derivations) == 1


def test_only_the_features_of_the_last_images_are_kept():
    embeddings = [Sam3Embedding(torch.zeros(1), SHAPE) for _ in range(3)]
    derived = []
    recent = RecentFeatures(derived.append, 2)

    for index in (0, 1, 0, 1, 2, 1, 0):
        recent.of(embeddings[index])

    assert [embeddings.index(embedding) for embedding in derived] == [0, 1, 2, 0]


@torch.inference_mode()
def test_bfloat16_halves_the_encoder_and_changes_little(tiny_sam3, sam3, pixel_values):
    bfloat16 = Sam3(load_tiny("Sam3VideoModel", tiny_sam3), precision="bfloat16")

    rounded, exact = (
        model.encode(pixel_values, SHAPE).tokens.float() for model in (bfloat16, sam3)
    )

    size = [sum(p.nbytes for p in model.trunk.layers.parameters()) for model in (bfloat16, sam3)]
    assert size[0] < 0.6 * size[1]
    assert (rounded - exact).abs().mean() < 0.02 * exact.abs().mean()


@torch.inference_mode()
def test_the_revision_names_weights_and_precision(tiny_sam3, folder, sam3):
    rewrite(folder, lambda weights: weights["tracker_neck.fpn_layers.0.proj1.bias"].add_(1))
    stock = load_tiny("Sam3VideoModel", tiny_sam3)

    same, bfloat16, changed = (
        Sam3.load(tiny_sam3, precision="float32"),
        Sam3(stock, "cpu", "bfloat16"),
        Sam3.load(folder, precision="float32"),
    )

    assert same.revision == sam3.revision
    assert len({sam3.revision, bfloat16.revision, changed.revision}) == 3


def test_another_size_of_images_is_another_revision(folder, sam3):
    config = json.loads((folder / "config.json").read_text())
    config["detector_config"]["vision_config"]["backbone_config"]["image_size"] *= 2
    (folder / "config.json").write_text(json.dumps(config))

    larger = Sam3.load(folder, precision="float32")

    assert larger.revision != sam3.revision


def test_a_missing_tensor_is_refused_by_name(folder):
    rewrite(folder, lambda weights: weights.pop("tracker_model.no_memory_embedding"))

    with pytest.raises(WeightsError, match=r"lacks .*tracker_model\.no_memory_embedding"):
        Sam3.load(folder, precision="float32")


def test_weights_of_another_shape_are_refused(folder):
    name = "tracker_model.no_memory_embedding"
    rewrite(folder, lambda weights: weights.update({name: torch.zeros(1, 1, 3)}))

    with pytest.raises(WeightsError, match="cannot be read"):
        Sam3.load(folder, precision="float32")


def test_another_model_is_refused(tiny_sam1):
    with pytest.raises(WeightsError, match="holds sam, not SAM 3"):
        Sam3.load(tiny_sam1, precision="float32")


def test_sam_3_1_is_refused(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "sam3.1_multiplex"}))

    with pytest.raises(WeightsError, match=r"holds sam3\.1_multiplex, not SAM 3"):
        Sam3.load(folder, precision="float32")
