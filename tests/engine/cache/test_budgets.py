from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from napari_sam3.engine import Budgets, Sam3Error, cache_folder
from napari_sam3.engine.cache.budgets import MAX_DISK_BYTES


def test_a_computer_is_not_filled_up() -> None:
    budgets = Budgets.of_this_computer("cpu")

    assert 0 < budgets.memory <= psutil.virtual_memory().total // 4
    assert 0 < budgets.disk <= MAX_DISK_BYTES
    assert budgets.device == 0


def test_a_graphics_card_is_not_filled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_sam3.engine.devices.device_bytes", lambda _: 8_000)

    assert Budgets.of_this_computer("cuda").device == 2_000


@pytest.mark.parametrize(
    ("text", "nbytes"), [("123", 123), ("1.5 GB", 1_500_000_000), ("20mb", 20_000_000), ("0", 0)]
)
def test_environment_replaces_the_budgets(
    monkeypatch: pytest.MonkeyPatch, text: str, nbytes: int
) -> None:
    for name in ("NAPARI_SAM3_MEMORY", "NAPARI_SAM3_DEVICE_MEMORY", "NAPARI_SAM3_DISK"):
        monkeypatch.setenv(name, text)

    assert Budgets.of_this_computer("cpu") == Budgets(nbytes, nbytes, nbytes)


def test_environment_that_is_no_amount_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SAM3_MEMORY", "a lot")

    with pytest.raises(Sam3Error, match='NAPARI_SAM3_MEMORY is "a lot": make it'):
        Budgets.of_this_computer("cpu")


def test_cache_folder_is_that_of_the_environment(cache: Path) -> None:
    assert cache_folder() == cache


def test_cache_folder_is_that_of_the_user_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAPARI_SAM3_CACHE")

    assert "napari-sam3" in str(cache_folder())
