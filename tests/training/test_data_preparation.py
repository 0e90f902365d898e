from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_sam3.training import data_preparation as factory
from napari_sam3.training.config import Config
from napari_sam3.training.data_preparation import HELD_BACK, _maker, _wanted


def test_real_and_synthetic_shards_are_made_in_turn() -> None:
    config = replace(Config.read(), shards=40, real_shards=10, real=Path("somewhere"))

    names = _wanted(config)

    assert [name.split("-")[0] for name in names[:4]] == [*["validation"] * 3, "training"]
    assert sum("real" in name for name in names[3:28]) == 5
    assert len(names) == 53


def test_without_real_pictures_all_shards_are_synthetic() -> None:
    names = _wanted(replace(Config.read(), shards=4))

    assert all("synthetic" in name for name in names)


@pytest.mark.parametrize(
    ("count", "trained_on", "validated_on"), [(1, 1, 1), (HELD_BACK, HELD_BACK - 1, 1)]
)
def test_few_real_pictures_serve_training_and_validation(
    monkeypatch, count, trained_on, validated_on
):
    pictures = [Path(f"images/{number}.png") for number in range(count)]
    monkeypatch.setattr(factory, "images_in", lambda folder: pictures)
    config = replace(Config.read(), real=Path())

    training, validation = (
        _maker(f"{kind}-real", config, of_three=False) for kind in ("training", "validation")
    )

    assert len(training.shares) == trained_on
    assert len(validation.shares) == validated_on
    assert np.isclose(training.shares.sum(), 1)
