from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sam3.engine.backends.sam import precision
from napari_sam3.engine.backends.sam.loading import digest, load_model, model_name
from napari_sam3.engine.backends.sam.precision import autocast, checked_precision
from napari_sam3.values.errors import ModelError, WeightsError
from tests.tiny_models import load_tiny


@pytest.fixture
def folder(tiny_sam1, tmp_path) -> Path:
    """Return a checkpoint that a test may spoil."""
    return Path(copytree(tiny_sam1, tmp_path / "model"))


@pytest.fixture(scope="module")
def model_class(tiny_sam1):
    return type(load_tiny("SamModel", tiny_sam1))


def test_a_loaded_model_is_not_trained(model_class, folder):
    model = load_model(model_class, folder)

    assert not model.training
    assert not any(weights.requires_grad for weights in model.parameters())


def test_a_missing_tensor_is_refused_by_name(model_class, folder):
    weights = load_file(folder / "model.safetensors")
    weights.pop("mask_decoder.iou_token.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(WeightsError, match=r"lacks mask_decoder\.iou_token\.weight: download"):
        load_model(model_class, folder)


def test_weights_under_other_names_are_listed_beside_the_missing_ones(model_class, folder):
    weights = load_file(folder / "model.safetensors")
    weights["mask_decoder.other"] = weights.pop("mask_decoder.iou_token.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(WeightsError, match=r"iou_token\.weight, and holds mask_decoder\.other"):
        load_model(model_class, folder)


def test_weights_that_nothing_uses_are_logged(model_class, folder, caplog):
    weights = load_file(folder / "model.safetensors")
    weights["mask_decoder.other"] = torch.zeros(3)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    load_model(model_class, folder)

    assert "also holds mask_decoder.other" in caplog.text


def test_weights_that_are_cut_short_are_refused(model_class, folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])

    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(model_class, folder)


def test_weights_of_another_shape_are_refused(model_class, folder):
    weights = load_file(folder / "model.safetensors")
    weights["mask_decoder.iou_token.weight"] = torch.zeros(1, 3)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(model_class, folder)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(model_class, folder, number):
    weights = load_file(folder / "model.safetensors")
    weights["mask_decoder.iou_token.weight"].fill_(number)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(WeightsError, match=r"no numbers in mask_decoder\.iou_token\.weight: "):
        load_model(model_class, folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vision_config": 5},
        {"mask_decoder_config": {"hidden_size": "wide"}},
        {"mask_decoder_config": {"num_attention_heads": 0}},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(model_class, folder, wrong):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **wrong}))

    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(model_class, folder)


def test_a_folder_without_weights_is_refused(model_class, tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(model_class, tmp_path)


def test_the_digest_names_the_weights(model_class, folder):
    model, same = load_model(model_class, folder), load_model(model_class, folder)
    known = digest(model)

    model.mask_decoder.iou_token.weight += 1

    assert digest(same) == known
    assert digest(model) != known


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/models/my-sam", "my-sam"),
        ("/hub/models--facebook--sam2.1-hiera-tiny/snapshots/3c87", "facebook/sam2.1-hiera-tiny"),
    ],
)
def test_a_model_has_the_name_of_its_folder_or_that_on_the_hub(folder, name):
    assert model_name(Path(folder)) == name


@pytest.mark.parametrize("built_for", ["float32", "bfloat16"])
def test_a_processor_computes_in_the_dtype_it_is_built_for_by_default(monkeypatch, built_for):
    monkeypatch.setattr(precision, "compute_dtype", lambda _: built_for)

    assert checked_precision("cpu") == built_for
    assert checked_precision("cpu", "float32") == "float32"
    assert checked_precision("cpu", "bfloat16") == "bfloat16"


def test_bfloat16_is_refused_where_it_does_not_exist():
    with pytest.raises(ModelError, match="choose float32"):
        checked_precision("mps", "bfloat16")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_matrix_products_have_the_precision(precision):
    ones = torch.ones(2, 2)

    with autocast("cpu", precision):
        product = ones @ ones

    assert product.dtype == getattr(torch, precision)
