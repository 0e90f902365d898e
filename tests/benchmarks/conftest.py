from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny_sam3(tmp_path_factory):
    from tests import tiny_models

    return tiny_models.tiny_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="session")
def tiny_sam2(tmp_path_factory):
    from tests import tiny_models

    return tiny_models.tiny_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="session")
def tiny_edgetam(tmp_path_factory):
    from tests import tiny_models

    return tiny_models.tiny_edgetam(tmp_path_factory.mktemp("edgetam"))


@pytest.fixture
def task(tmp_path):
    """A short movie of small frames, two objects and three clicks."""
    from napari_sam3.benchmarks.comparison import arguments
    from napari_sam3.benchmarks.movies import Task, write_movie

    write_movie(tmp_path, (3, 128, 128), objects=2, clicks=2)
    line = [str(tmp_path), str(tmp_path), "--frames", "3"]
    return Task.read(arguments().parse_args(line))
