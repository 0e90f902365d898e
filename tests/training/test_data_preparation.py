from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_sam3.training import data_preparation
from napari_sam3.training.config import Config
from napari_sam3.training.data_preparation import HELD_OUT, _entry_maker, shard_names


def test_real_and_synthetic_shards_are_made_in_turn() -> None:
    config = replace(Config.read(), shards=40, real_shards=10, real_images=Path("somewhere"))

    names = shard_names(config)

    assert [name.split("-")[0] for name in names[:4]] == [*["validation"] * 3, "training"]
    assert sum("real" in name for name in names[3:28]) == 5
    assert len(names) == 53


def test_without_real_images_all_shards_are_synthetic() -> None:
    names = shard_names(replace(Config.read(), shards=4))

    assert all("synthetic" in name for name in names)


@pytest.mark.parametrize(
    ("count", "trained_on", "validated_on"), [(1, 1, 1), (HELD_OUT, HELD_OUT - 1, 1)]
)
def test_few_real_images_serve_training_and_validation(
    monkeypatch, count, trained_on, validated_on
):
    images = [Path(f"images/{number}.png") for number in range(count)]
    monkeypatch.setattr(data_preparation, "image_paths", lambda folder: images)
    config = replace(Config.read(), real_images=Path())

    training, validation = (
        _entry_maker(f"{kind}-real", config, of_triplets=False)
        for kind in ("training", "validation")
    )

    assert len(training.shares) == trained_on
    assert len(validation.shares) == validated_on
    assert np.isclose(training.shares.sum(), 1)
