"""A model on this computer has a path; one that is not says how to get it."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest

from napari_sam3.engine import ModelError
from napari_sam3.engine.weights.catalog import BIOMED_CLIP
from napari_sam3.engine.weights.local_models import is_clip_here, local_clip_path

CONFIG = "open_clip_config.json"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the hub's cache hold what is in a folder, whatever the name."""

    def cached(name: str, file: str) -> str | None:
        path = tmp_path / name / file
        return str(path) if path.is_file() else None

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    return tmp_path


def filled(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("{}")
    return folder


def test_folder_is_taken_as_it_is(cache: Path) -> None:
    folder = filled(cache / "mine", CONFIG)

    assert local_clip_path(folder) == folder
    assert is_clip_here(str(folder))


@pytest.mark.parametrize("weights", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_downloaded_model_is_known_by_name(cache: Path, weights: str) -> None:
    folder = filled(cache / BIOMED_CLIP.id, CONFIG, weights)

    assert local_clip_path(BIOMED_CLIP.id) == folder
    assert is_clip_here(BIOMED_CLIP.id)


def test_half_a_model_is_not_here(cache: Path) -> None:
    filled(cache / BIOMED_CLIP.id, CONFIG)

    assert not is_clip_here(BIOMED_CLIP.id)
    with pytest.raises(ModelError, match="BiomedCLIP is not on this computer: download it"):
        local_clip_path(BIOMED_CLIP.id)


def test_folder_with_something_else_is_refused(cache: Path) -> None:
    with pytest.raises(ModelError, match="holds no text model"):
        local_clip_path(filled(cache / "other", "config.json"))


@pytest.mark.parametrize("path", [Path("/nowhere/at/all"), "no-such-model", "who/knows"])
def test_an_unknown_model_is_refused_with_an_example(cache: Path, path: str | Path) -> None:
    with pytest.raises(ModelError, match=r"There is no text model .*BiomedCLIP"):
        local_clip_path(path)
