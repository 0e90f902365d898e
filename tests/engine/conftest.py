from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam3.engine import Engine
from tests.backends import DiskBackend


@pytest.fixture
def backend() -> DiskBackend:
    return DiskBackend()


@pytest.fixture
def engine(backend: DiskBackend) -> Engine:
    return Engine(backend)


# transformers takes seconds to import: only tests that ask for these pay for it


@pytest.fixture(scope="session")
def tiny_sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests import tiny_models

    return tiny_models.tiny_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="session")
def tiny_sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests import tiny_models

    return tiny_models.tiny_sam2(tmp_path_factory.mktemp("sam2.1-hiera-tiny"))


@pytest.fixture(scope="session")
def tiny_edgetam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests import tiny_models

    return tiny_models.tiny_edgetam(tmp_path_factory.mktemp("EdgeTAM-hf"))


@pytest.fixture(scope="session")
def tiny_sam1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests import tiny_models

    return tiny_models.tiny_sam1(tmp_path_factory.mktemp("sam-vit-base"))
