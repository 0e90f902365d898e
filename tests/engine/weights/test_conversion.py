"""Published files become folders that load, or nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Sam3VideoConfig, Sam3VideoModel, SamConfig, SamModel

from napari_sam3.engine import ModelError, Prompts, StorageError, WeightsError
from napari_sam3.engine.loading import converted, load_backend, suggested_folder
from napari_sam3.engine.weights import conversion_sam1, conversion_sam3
from napari_sam3.engine.weights.checkpoints import recognise
from napari_sam3.engine.weights.state_dicts import origin_of
from tests.engine.published import as_published, weights_of

POSITIONAL_ENCODING = "positional_embedding"


@pytest.fixture(scope="module")
def sam3_folder(tiny_sam3: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SAM 3 with one positional encoding, as in the published file."""
    folder = shutil.copytree(tiny_sam3, tmp_path_factory.mktemp("tied") / "sam3")
    tensors = weights_of(folder)
    tensors[f"tracker_model.prompt_encoder.shared_embedding.{POSITIONAL_ENCODING}"] = tensors[
        f"tracker_model.shared_image_embedding.{POSITIONAL_ENCODING}"
    ].clone()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def published_sam3(sam3_folder: Path) -> dict[str, Tensor]:
    return as_published(
        all_weights(Sam3VideoModel.from_pretrained(sam3_folder)), conversion_sam3.RULES
    )


@pytest.fixture(scope="module")
def sam1_folder(tiny_sam1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SAM 1, with as many attention heads in its decoder as every published one has."""
    folder = shutil.copytree(tiny_sam1, tmp_path_factory.mktemp("eight") / "sam1")
    config = SamConfig.from_pretrained(folder)
    config.mask_decoder_config.num_attention_heads = 8
    config.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def published_sam1(sam1_folder: Path) -> dict[str, Tensor]:
    return as_published(all_weights(SamModel.from_pretrained(sam1_folder)), conversion_sam1.RULES)


@pytest.fixture
def sam3_file(tmp_path: Path, published_sam3: dict[str, Tensor]) -> Path:
    torch.save(published_sam3, tmp_path / "sam3.pt")
    return tmp_path / "sam3.pt"


@pytest.fixture
def sam1_file(tmp_path: Path, published_sam1: dict[str, Tensor]) -> Path:
    torch.save(published_sam1, tmp_path / "vit_b_lm.pt")
    return tmp_path / "vit_b_lm.pt"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, sam3_folder: Path) -> None:
    """SAM 3 has the size of the tiny one, and its tokenizer too."""
    config = Sam3VideoConfig.from_pretrained(sam3_folder)
    monkeypatch.setattr(conversion_sam3, "Sam3VideoConfig", lambda: config)


def all_weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in model.state_dict().items()}


def test_converted_sam3_has_the_weights_it_had(
    small: None, sam3_file: Path, sam3_folder: Path
) -> None:
    folder = converted(sam3_file)

    model, found = Sam3VideoModel.from_pretrained(folder, output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    before = all_weights(Sam3VideoModel.from_pretrained(sam3_folder))
    assert all(torch.equal(value, before[name]) for name, value in all_weights(model).items())


def test_converted_sam3_segments_clicks_and_reads_words(
    small: None, sam3_file: Path, sam3_folder: Path
) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(sam3_folder / name, sam3_file.parent)
    image = np.random.default_rng(0).random((40, 60, 3), np.float32)

    converted(sam3_file)
    backend, original = load_backend(sam3_file, "cpu"), load_backend(sam3_folder, "cpu")

    prompts = [Prompts(points=[(20, 30)])]
    predictions = [
        model.segment(model.encode(image), prompts, [None]) for model in (backend, original)
    ]
    assert backend.reads_text
    np.testing.assert_array_equal(predictions[0][0].pixels, predictions[1][0].pixels)


@pytest.mark.parametrize("name", [
    "detector.backbone.vision_backbone.trunk.blocks.7.attn.qkv.weight",
    "detector.backbone.language_backbone.encoder.transformer.resblocks.3.mlp.c_fc.bias",
    "detector.transformer.decoder.layers.5.ca_text.in_proj_weight",
    "tracker.maskmem_backbone.fuser.layers.1.gamma",
    "tracker.sam_prompt_encoder.point_embeddings.2.weight",
])  # fmt: skip
def test_names_of_the_published_sam3_are_known(name: str) -> None:
    with torch.device("meta"):
        targets = Sam3VideoModel(Sam3VideoConfig()).state_dict()

    origins = [origin_of(target, conversion_sam3.RULES) for target in targets]

    assert None not in origins
    assert name in {source for origin in origins if origin for source in origin.names}


def test_file_that_is_loaded_unconverted_says_what_to_do(sam3_file: Path) -> None:
    with pytest.raises(WeightsError, match="convert it first"):
        load_backend(sam3_file)


def test_missing_tensor_is_refused_by_name(
    small: None, tmp_path: Path, published_sam3: dict[str, Tensor]
) -> None:
    torch.save(without(published_sam3, "tracker.no_mem_embed"), tmp_path / "sam3.pt")

    with pytest.raises(WeightsError, match=r"lacks tracker\.no_mem_embed"):
        converted(tmp_path / "sam3.pt")

    assert [file.name for file in tmp_path.iterdir()] == ["sam3.pt"]


def test_unknown_tensor_is_refused_by_name(
    small: None, tmp_path: Path, published_sam3: dict[str, Tensor]
) -> None:
    torch.save(published_sam3 | {"tracker.surprise": torch.ones(1)}, tmp_path / "sam3.pt")

    with pytest.raises(WeightsError, match=r"unknown tracker\.surprise"):
        converted(tmp_path / "sam3.pt")


def test_tensor_of_another_shape_is_refused_by_name(
    small: None, tmp_path: Path, published_sam3: dict[str, Tensor]
) -> None:
    torch.save(published_sam3 | {"tracker.no_obj_ptr": torch.ones(3)}, tmp_path / "sam3.pt")

    with pytest.raises(WeightsError, match="misshapes tracker_model"):
        converted(tmp_path / "sam3.pt")


def test_what_is_known_to_be_of_no_use_is_left_out(
    small: None, tmp_path: Path, published_sam3: dict[str, Tensor]
) -> None:
    unused = "detector.backbone.vision_backbone.trunk.blocks.0.attn.freqs_cis"
    torch.save(published_sam3 | {unused: torch.ones(2, dtype=torch.complex64)}, tmp_path / "s.pt")

    folder = converted(tmp_path / "s.pt")

    assert not any("freqs" in name for name in weights_of(folder))


def test_interrupted_conversion_leaves_nothing(small: None, sam3_file: Path) -> None:
    def stop(done: int, total: int) -> None:
        if 2 * done > total:
            raise ModelError("Stopped.")

    with pytest.raises(ModelError, match="Stopped"):
        converted(sam3_file, progress=stop)

    assert [file.name for file in sam3_file.parent.iterdir()] == ["sam3.pt"]


def test_conversion_reports_how_far_it_is(sam1_file: Path) -> None:
    reported: list[tuple[int, int]] = []

    folder = converted(sam1_file, progress=lambda done, total: reported.append((done, total)))

    assert reported[-1][0] == reported[-1][1] <= (folder / "model.safetensors").stat().st_size
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)


def test_full_disk_is_refused_before_anything_is_written(
    sam1_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))

    with pytest.raises(StorageError, match=r"0\.0 GB are free: make room"):
        converted(sam1_file)

    assert [file.name for file in sam1_file.parent.iterdir()] == ["vit_b_lm.pt"]


def test_folder_that_is_there_is_not_overwritten(sam1_file: Path) -> None:
    suggested_folder(sam1_file).mkdir()

    with pytest.raises(StorageError, match="is there already"):
        converted(sam1_file)


@pytest.mark.parametrize("is_training_state", [False, True])
def test_microsam_file_predicts_as_the_model_it_is(
    tmp_path: Path, published_sam1: dict[str, Tensor], sam1_folder: Path, is_training_state: bool
) -> None:
    tensors: Any = published_sam1
    if is_training_state:
        prefixed = {f"sam.{name}": value for name, value in published_sam1.items()}
        tensors = {"model_state": prefixed, "decoder_state": {"out.weight": torch.ones(1)}}
    torch.save(tensors, tmp_path / "best.pt")
    image = np.random.default_rng(0).random((40, 60, 3), np.float32)

    converted(tmp_path / "best.pt", tmp_path / "cells")
    backend, original = load_backend(tmp_path / "cells", "cpu"), load_backend(sam1_folder, "cpu")

    prompts = [Prompts(points=[(20, 30)])]
    predictions = [
        model.segment(model.encode(image), prompts, [None]) for model in (backend, original)
    ]
    np.testing.assert_array_equal(predictions[0][0].pixels, predictions[1][0].pixels)


@pytest.mark.parametrize(
    ("width", "depth", "heads"), [(768, 12, 12), (1024, 24, 16), (1280, 32, 16)]
)
def test_size_of_a_published_sam1_is_derived_from_its_shapes(
    width: int, depth: int, heads: int
) -> None:
    found = {
        "image_encoder.pos_embed": torch.empty(1, 64, 64, width, device="meta"),
        "image_encoder.patch_embed.proj.weight": torch.empty(width, 3, 16, 16, device="meta"),
        "image_encoder.neck.0.weight": torch.empty(256, width, 1, 1, device="meta"),
        "image_encoder.blocks.0.mlp.lin1.weight": torch.empty(4 * width, width, device="meta"),
    }
    for block in range(depth):
        rows = 127 if block % (depth // 4) == depth // 4 - 1 else 27
        found[f"image_encoder.blocks.{block}.attn.rel_pos_h"] = torch.empty(rows, width // heads)

    vision = conversion_sam1.config_of(Path("vit.pt"), found).vision_config

    assert (vision.hidden_size, vision.num_hidden_layers, vision.image_size) == (width, depth, 1024)
    assert (vision.num_attention_heads, vision.window_size) == (heads, 14)
    step = depth // 4
    assert list(vision.global_attn_indexes) == [step - 1, 2 * step - 1, 3 * step - 1, depth - 1]


def test_what_needs_no_conversion_says_so(tiny_sam1: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="needs no conversion: it is SAM 1"):
        converted(tiny_sam1, tmp_path / "again")


def test_converted_folder_is_recognised(sam1_file: Path) -> None:
    assert recognise(converted(sam1_file)).kind.name == "sam1"


def without(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in tensors.items() if key != name}
