from __future__ import annotations

import pytest

from napari_sam3.engine import Engine
from tests.backends import DiskBackend


@pytest.fixture
def backend() -> DiskBackend:
    return DiskBackend()


@pytest.fixture
def engine(backend: DiskBackend) -> Engine:
    return Engine(backend)
