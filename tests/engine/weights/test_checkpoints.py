"""What a file or a folder holds is recognised before it is loaded."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sam3.engine import WeightsError
from napari_sam3.engine.backends.embedded.model import shipped_weights
from napari_sam3.engine.weights.checkpoints import recognise

PROMPTED = {"prompt_encoder.a": torch.ones(1), "mask_decoder.a": torch.ones(1)}


@pytest.fixture
def sam1(tiny_sam1: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_sam1, tmp_path / "sam1")


@pytest.mark.parametrize("kind", ["sam3", "sam2", "edgetam", "sam1"])
def test_folder_of_a_model_is_recognised(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(f"tiny_{kind}")

    checkpoint = recognise(folder)

    assert (checkpoint.kind.name, checkpoint.path) == (kind, folder)
    assert checkpoint.bytes == (folder / "model.safetensors").stat().st_size


def test_file_in_a_folder_stands_for_the_folder(tiny_sam2: Path) -> None:
    assert recognise(tiny_sam2 / "model.safetensors") == recognise(tiny_sam2)


def test_weights_of_the_embedded_model_are_recognised() -> None:
    checkpoint = recognise(shipped_weights())

    assert checkpoint.kind.name == "embedded"
    assert "BSD" in checkpoint.kind.licence


def test_licence_of_sam3_is_known(tiny_sam3: Path) -> None:
    assert "SAM License" in recognise(tiny_sam3).kind.licence


@pytest.mark.parametrize(("names", "kind"), [
    (["detector.a", "tracker.a"], "sam3-original"),
    (["detector.a", "tracker.multiplex.a"], "sam3.1"),
    (["image_encoder.blocks.0.a", "mask_decoder.a"], "micro-sam"),
])  # fmt: skip
def test_published_file_is_recognised_by_its_names(
    names: list[str], kind: str, tmp_path: Path
) -> None:
    torch.save({name: torch.ones(1) for name in names}, tmp_path / "weights.pt")

    assert recognise(tmp_path / "weights.pt").kind.name == kind


@pytest.mark.parametrize(("name", "advice"), [
    ("image_encoder.layers.0.blocks.0.a", "MobileSAM"),
    ("image_encoder.trunk.blocks.0.a", "facebook/sam2.1-hiera-tiny"),
    ("backbone.a", "not the weights of a model"),
])  # fmt: skip
def test_published_file_of_another_model_is_refused_by_name(
    name: str, advice: str, tmp_path: Path
) -> None:
    torch.save({name: torch.ones(1), **PROMPTED}, tmp_path / "weights.pt")

    with pytest.raises(WeightsError, match=advice):
        recognise(tmp_path / "weights.pt")


def test_sam_3_1_is_recognised_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "sam3.1_multiplex.pt").touch()

    assert recognise(tmp_path).kind.name == "sam3.1"
    assert recognise(tmp_path / "sam3.1_multiplex.pt").kind.name == "sam3.1"


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no file or folder"):
        recognise(tmp_path / "nothing.pt")


@pytest.mark.parametrize("files", [[], ["a.safetensors", "b.safetensors"]])
def test_folder_without_a_single_file_of_weights_is_refused(tmp_path: Path, files: list) -> None:
    for name in files:
        (tmp_path / name).touch()

    with pytest.raises(WeightsError, match=f"holds {len(files)} .safetensors files"):
        recognise(tmp_path)


def test_folder_without_weights_is_refused(sam1: Path) -> None:
    (sam1 / "model.safetensors").unlink()

    with pytest.raises(WeightsError, match=r"has no model\.safetensors"):
        recognise(sam1)


def test_weights_cut_short_are_refused(sam1: Path) -> None:
    whole = (sam1 / "model.safetensors").read_bytes()
    (sam1 / "model.safetensors").write_bytes(whole[:-1000])

    with pytest.raises(WeightsError, match="is cut short"):
        recognise(sam1)


@pytest.mark.parametrize(
    "content", [b"", b"<html>You must sign in", b"\x10" + bytes(7) + b"{broken"]
)
def test_file_that_only_resembles_weights_is_refused(sam1: Path, content: bytes) -> None:
    (sam1 / "model.safetensors").write_bytes(content)

    with pytest.raises(WeightsError, match=r"is not a (whole )?safetensors file"):
        recognise(sam1)


def test_weights_without_a_module_are_refused(sam1: Path) -> None:
    tensors = load_file(sam1 / "model.safetensors")
    rest = {name: value for name, value in tensors.items() if not name.startswith("mask_decoder")}
    save_file(rest, sam1 / "model.safetensors")

    with pytest.raises(WeightsError, match="lacks mask_decoder of SAM 1"):
        recognise(sam1)


def test_model_of_another_type_is_refused_by_name(sam1: Path) -> None:
    (sam1 / "config.json").write_text(json.dumps({"model_type": "bert"}))

    with pytest.raises(WeightsError, match="a model of type 'bert'"):
        recognise(sam1)


def test_broken_configuration_is_refused(sam1: Path) -> None:
    (sam1 / "config.json").write_text("{")

    with pytest.raises(WeightsError, match=r"config\.json cannot be read"):
        recognise(sam1)


def test_file_that_could_run_a_program_is_refused(tmp_path: Path) -> None:
    torch.save({"hook": print}, tmp_path / "weights.pt")

    with pytest.raises(WeightsError, match="holds more than weights"):
        recognise(tmp_path / "weights.pt")


def test_broken_published_file_is_refused(tmp_path: Path) -> None:
    torch.save({"detector.a": torch.ones(1000)}, tmp_path / "whole.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:2000])

    with pytest.raises(WeightsError, match=r"broken|cut short"):
        recognise(tmp_path / "half.pt")


@pytest.mark.parametrize("content", [b"", b"hello world", b"<html>not found</html>", b"PK\x03\x04"])
def test_file_that_only_resembles_a_published_one_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "weights.pt").write_bytes(content)

    with pytest.raises(WeightsError, match=r"broken|no file of weights"):
        recognise(tmp_path / "weights.pt")


def test_old_published_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save({"detector.a": torch.ones(9)}, whole, _use_new_zipfile_serialization=False)

    for kept in range(0, len(whole.getvalue()), 7):
        (tmp_path / "weights.pt").write_bytes(whole.getvalue()[:kept])
        with pytest.raises(WeightsError, match=r"broken|no file of weights"):
            recognise(tmp_path / "weights.pt")


@pytest.mark.parametrize("metadata", [["pt"], "pt", {"format": 1}])
def test_header_with_strange_metadata_is_refused(tmp_path: Path, metadata: object) -> None:
    header = json.dumps({"__metadata__": metadata}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)

    with pytest.raises(WeightsError, match=r"not a whole safetensors file|does not say"):
        recognise(tmp_path / "model.safetensors")


def test_loose_weights_are_refused_with_advice(tmp_path: Path) -> None:
    save_file(PROMPTED, tmp_path / "model.safetensors")

    with pytest.raises(WeightsError, match=r"choose a folder that has a config\.json"):
        recognise(tmp_path / "model.safetensors")


def test_folder_of_a_text_model_is_recognised(tmp_path: Path) -> None:
    described = {"model_cfg": {"vision_cfg": {}, "text_cfg": {}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(described))
    save_file(PROMPTED, tmp_path / "open_clip_model.safetensors")
    save_file(PROMPTED, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))

    by_folder = recognise(tmp_path)
    by_file = recognise(tmp_path / "open_clip_model.safetensors")

    assert by_folder.kind.name == by_file.kind.name == "clip"
    assert "by a text" in by_folder.kind.summary
