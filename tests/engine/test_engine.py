from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from weakref import WeakValueDictionary, ref

import numpy as np
import pytest

import napari_sam3.engine.engine as engine_file
from napari_sam3.engine import Channel, Contrast, Engine, Frames, ModelError, Prompts, shared_engine
from tests.backends import DiskBackend, disk_frames

CLICK = Prompts(points=[(30, 12)])


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, str]]:
    """Let `Engine.load` make an engine of disks, and return the arguments of all its calls."""
    calls: list[tuple[object, str]] = []

    def load(model: str, device: str) -> Engine:
        calls.append((model, device))
        return Engine(DiskBackend())

    monkeypatch.setattr(Engine, "load", load)
    monkeypatch.setattr(engine_file, "_shared", WeakValueDictionary())
    return calls


def test_arrays_and_frames_are_opened(engine: Engine) -> None:
    movie = disk_frames([(30, 10)] * 3)
    frames = Frames.from_array(movie)

    assert engine.open(frames).frames is frames
    assert engine.open(movie).frames.count == 3


def test_contrast_is_estimated_unless_it_is_given(engine: Engine) -> None:
    movie = disk_frames([(30, 10)])
    given = Contrast((Channel((0, 99)),))

    assert engine.open(movie, contrast=given).contrast is given
    assert engine.open(movie).contrast.channels[0].limits == (20, 220)


def test_embeddings_outlive_a_session_that_is_opened_anew(
    engine: Engine, backend: DiskBackend
) -> None:
    frames = Frames.from_array(disk_frames([(30, 10)] * 3))
    first = engine.open(frames)
    first.segment(0, CLICK)
    first.close()

    engine.open(frames).segment(0, CLICK)

    assert backend.encoded == 1


@pytest.mark.parametrize("value", [0, 7, np.nan, np.inf])
def test_constant_image_is_segmented_without_a_warning(engine: Engine, value: float) -> None:
    session = engine.open(np.full((3, 64, 64), value, np.float32))

    masks = list(session.propagate({(0, 1): CLICK}))

    assert [mask.area > 0 for mask in masks] == [True, False, False]


def test_closed_engine_raises_an_error_in_its_sessions(engine: Engine) -> None:
    session = engine.open(disk_frames([(30, 10)]))
    engine.close()

    with pytest.raises(ModelError, match="load it again"):
        session.segment(0, CLICK)


def test_engine_is_shared_by_the_process(loaded: list) -> None:
    engine, on_cpu = shared_engine(), shared_engine("embedded", "cpu")

    assert shared_engine("embedded", "auto") is engine
    assert on_cpu is not engine
    assert loaded == [("embedded", "auto"), ("embedded", "cpu")]


def test_closed_engine_is_not_shared_again(loaded: list) -> None:
    engine = shared_engine()
    engine.close()

    assert not shared_engine().is_closed


def test_engine_that_nobody_holds_is_freed(loaded: list) -> None:
    freed = ref(shared_engine())
    gc.collect()

    assert freed() is None


def test_shared_engine_keeps_embeddings_in_the_cache_folder_of_the_user(
    loaded: list, cache: Path
) -> None:
    engine = shared_engine()
    engine.open(disk_frames([(30, 10)])).segment(0, CLICK)
    engine.close()

    assert engine.embeddings.on_disk > 0
    assert (cache / "embeddings.zarr" / "zarr.json").exists()


def test_closed_session_has_written_its_embeddings(tmp_path: Path) -> None:
    engine = Engine(DiskBackend())
    session = engine.open(disk_frames([(30, 10)]), tmp_path)
    session.segment(0, CLICK)

    session.close()

    assert engine.embeddings.on_disk > 0


def test_engine_is_imported_without_torch_napari_or_qt() -> None:
    script = "import sys, napari_sam3.engine; print(*sys.modules)"

    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout

    modules = {name.partition(".")[0] for name in shown.decode().split()}
    assert not modules & {"torch", "torchvision", "napari", "qtpy", "PyQt6", "PySide6", "triton"}
