"""The command that encodes an image file beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image
from numpy.typing import NDArray
from tifffile import imwrite

from napari_sam3 import commands
from napari_sam3.commands import encode
from napari_sam3.engine import Engine, shared_engine
from napari_sam3.engine.cache.budgets import Budgets
from napari_sam3.layers.axes import StackAxes
from napari_sam3.layers.image_stack import contrast_of, frames_of
from tests.backends import DiskBackend, DiskEmbedding, disk_frames

MOVIE = disk_frames([(20, 20 + 4 * index) for index in range(5)])


class EndedBackend(DiskBackend):
    """Is ended with Ctrl-C at an image."""

    ended_at = -1

    def encode(self, image: NDArray[np.float32]) -> DiskEmbedding:
        if self.encoded == self.ended_at:
            raise KeyboardInterrupt
        return super().encode(image)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> EndedBackend:
    made = EndedBackend()
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, *_, **__: cls(made)))
    return made


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "movie.tif"
    imwrite(path, MOVIE, photometric="minisblack")
    return path


def run(movie: Path, *arguments: str) -> int:
    return commands.main(["encode", str(movie), *arguments])


def test_all_frames_are_encoded_into_the_folder(
    backend: EndedBackend, movie: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(movie)

    output = capsys.readouterr()
    assert code == 0
    assert backend.encoded == 5
    assert (movie.with_suffix(".sam3") / "embeddings.zarr").is_dir()
    assert "5 of 5 frames, 0:00:00 left" in output.err
    assert "5 frames are ready" in output.out


def test_second_run_encodes_nothing(backend: EndedBackend, movie: Path) -> None:
    run(movie)

    code = run(movie)

    assert (code, backend.encoded) == (0, 5)


def test_some_frames_are_encoded_into_a_given_folder(
    backend: EndedBackend, movie: Path, tmp_path: Path
) -> None:
    run(movie, "--frames", "1-2", "--folder", str(tmp_path / "given.sam3"))

    assert backend.encoded == 2
    assert (tmp_path / "given.sam3" / "embeddings.zarr").is_dir()


def test_ctrl_c_keeps_the_embeddings_and_says_so(
    backend: EndedBackend, movie: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend.ended_at = 3
    code = run(movie)
    error = capsys.readouterr().err
    backend.ended_at = -1

    run(movie)

    assert code == encode.INTERRUPTED
    assert "3 of 5 frames are in" in error
    assert backend.encoded == 5


def test_frames_that_do_not_fit_are_refused_with_what_fits(
    backend: EndedBackend,
    movie: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    budgets = Budgets(memory=2**20, disk=3 * MOVIE[0].size * 4)
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, *_, **__: cls(backend, budgets)))

    code = run(movie)

    assert code == 2
    assert "encode 3 of them" in capsys.readouterr().err
    assert backend.encoded == 1


def test_frame_outside_the_stack_is_named(
    backend: EndedBackend, movie: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(movie, "--frames", "3-9") == 2
    assert "There is no frame 5" in capsys.readouterr().err


@pytest.mark.parametrize("frames", ["a", "5-1", "-"])
def test_frames_are_a_first_and_a_last_frame(
    movie: Path, frames: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(movie, f"--frames={frames}")

    assert "FIRST-LAST" in capsys.readouterr().err


def test_the_dock_finds_what_was_encoded_for_napari(backend: EndedBackend, movie: Path) -> None:
    run(movie, "--for-napari")
    layer = Image(MOVIE)
    frames = frames_of([layer], StackAxes.through(layer, 0, (0,)))

    session = shared_engine().open(frames, contrast=contrast_of([layer]))
    encoded = list(session.encode())

    assert encoded == [0, 1, 2, 3, 4]
    assert backend.encoded == 5
