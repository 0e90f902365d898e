from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
import zarr

from tests.controller.bench import MOVIE, Bench
from tests.jobs import HeldJobs


@pytest.fixture
def bench() -> Bench:
    """A time-lapse of one disk, whose questions are answered at once."""
    made = Bench()
    made.add_image(MOVIE)
    return made


@pytest.fixture
def held() -> Bench:
    """A time-lapse of one disk, whose questions wait until a test lets them go."""
    made = Bench(HeldJobs())
    made.add_image(MOVIE)
    return made


@pytest.fixture
def bench_of() -> Callable[..., Bench]:
    """Make a bench with an image of these pixels and this geometry."""

    def make(pixels: Any, **settings: Any) -> Bench:
        made = Bench()
        made.add_image(pixels, **settings)
        return made

    return make


class Disk:
    """Where labels are kept; it has room until a test says otherwise."""

    is_full = False


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    put = zarr.Array.__setitem__

    def put_if_there_is_room(array: zarr.Array[Any], where: Any, what: Any) -> None:
        if made.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(array, where, what)

    monkeypatch.setattr(zarr.Array, "__setitem__", put_if_there_is_room)
    return made
