from __future__ import annotations

from pathlib import Path

import pytest

from tests.layers.prompting import PromptBench
from tests.layers.results import ResultBench


@pytest.fixture
def flat() -> PromptBench:
    return PromptBench((100, 120))


@pytest.fixture
def deep() -> PromptBench:
    """A T, Z, Y, X image, shown at t = 1, z = 2."""
    bench = PromptBench((3, 4, 100, 120), scale=(1, 3, 0.5, 0.5))
    bench.viewer.dims.set_current_step((0, 1), (1, 2))
    return bench


@pytest.fixture
def bench(tmp_path: Path) -> ResultBench:
    return ResultBench(tmp_path)


@pytest.fixture
def shared(tmp_path: Path) -> ResultBench:
    return ResultBench(tmp_path, "one layer")
