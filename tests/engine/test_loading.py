"""From the name of a model to the model."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from huggingface_hub import constants

from napari_sam3.engine import Engine, ModelError, WeightsError
from napari_sam3.engine.backends.embedded.model import shipped_weights
from napari_sam3.engine.loading import load_backend
from napari_sam3.engine.weights.local_models import is_here

SAM2 = "facebook/sam2.1-hiera-tiny"


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no way to the network."""

    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(hub: Path, name: str, folder: Path) -> Path:
    """Put a model where the hub keeps what was downloaded."""
    repository = hub / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    return shutil.copytree(folder, repository / "snapshots" / "abc")


@pytest.mark.parametrize("kind", ["sam3", "sam2", "edgetam", "sam1"])
def test_folder_of_a_model_is_loaded(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(f"tiny_{kind}")

    backend = load_backend(folder, "cpu")

    assert backend.device == "cpu"
    assert backend.reads_text == (kind == "sam3")


def test_embedded_model_is_loaded_by_name_and_by_file() -> None:
    assert load_backend("embedded", "cpu").name == "embedded"
    assert load_backend(shipped_weights(), "cpu").name == "embedded"


def test_model_downloaded_before_is_loaded_by_its_name(hub: Path, tiny_sam2: Path) -> None:
    put(hub, SAM2, tiny_sam2)

    assert is_here(SAM2)
    assert load_backend(SAM2, "cpu").name == SAM2


def test_model_that_is_not_here_says_how_to_get_it() -> None:
    assert not is_here("facebook/sam3")
    with pytest.raises(ModelError, match=r"not on this computer: .* approved you.*choose that"):
        load_backend("facebook/sam3")


def test_download_that_ended_early_is_not_loaded(hub: Path, tiny_sam2: Path) -> None:
    (put(hub, SAM2, tiny_sam2) / "model.safetensors").unlink()

    with pytest.raises(ModelError, match="is not on this computer"):
        load_backend(SAM2)


@pytest.mark.parametrize("name", ["nonsense", "no/such/folder", Path("no/such/folder")])
def test_name_of_no_model_is_refused(name: str | Path) -> None:
    with pytest.raises(ModelError, match="There is no model"):
        Engine.load(name)


def test_sam_3_1_is_refused_with_what_to_use(tmp_path: Path) -> None:
    (tmp_path / "sam3.1_multiplex.pt").touch()

    with pytest.raises(WeightsError, match=r"cannot be read yet: use SAM 3 \(facebook/sam3\)"):
        load_backend(tmp_path)


def test_sam3_without_tokenizer_is_refused_before_it_is_loaded(
    tiny_sam3: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_sam3, tmp_path / "sam3")
    (folder / "tokenizer.json").unlink()

    with pytest.raises(WeightsError, match="lacks a tokenizer"):
        load_backend(folder)


def test_text_model_is_not_taken_for_one_that_outlines(tmp_path: Path) -> None:
    described = '{"model_cfg": {"vision_cfg": {}, "text_cfg": {}}}'
    (tmp_path / "open_clip_config.json").write_text(described)
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"")

    with pytest.raises(WeightsError, match="outlines nothing: choose it as the text model"):
        load_backend(tmp_path, "cpu")
