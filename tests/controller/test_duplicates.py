"""Layers of results that the user duplicates, as napari's menu does."""

from __future__ import annotations

import errno
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from napari.layers._layer_actions import _duplicate_layer

from napari_sam3.layers.label_layers import give_own_files
from napari_sam3.storage.label_store import LabelStore
from napari_sam3.values import Box
from tests.controller.bench import Bench


@pytest.fixture
def full_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", refuse)


def duplicate(bench: Bench, layer: Labels) -> Labels:
    bench.viewer.layers.selection.active = layer
    _duplicate_layer(bench.viewer.layers)
    copy: Any = bench.viewer.layers[bench.viewer.layers.index(layer) + 1]
    assert isinstance(copy, Labels)
    return copy


def pixels(layer: Labels) -> np.ndarray:
    data = layer.data[0] if layer.multiscale else layer.data
    return np.asarray(data[:])


def test_copy_stays_as_it_was_when_the_object_is_corrected(bench: Bench) -> None:
    bench.click(0, 20, 20)

    copy = duplicate(bench, bench.labels[0])
    before = pixels(copy)
    bench.click(0, 40, 40)

    assert before[0][20, 20] == 1
    assert bench.mask(0)[40, 40]
    assert np.array_equal(pixels(copy), before)


def test_painting_on_a_copy_leaves_the_object_alone(bench: Bench) -> None:
    bench.click(0, 20, 20)
    before = bench.mask(0)

    copy = duplicate(bench, bench.labels[0])
    copy.brush_size = 5
    copy.paint((0, 50, 50), 1)

    assert copy.data[0][50, 50] == 1
    assert np.array_equal(bench.mask(0), before)


def test_copy_of_a_copy_is_one_of_its_own(bench: Bench) -> None:
    bench.click(0, 20, 20)
    copy = duplicate(bench, bench.labels[0])

    other = duplicate(bench, copy)
    other.paint((0, 50, 50), 1)

    assert not copy.data[0][50, 50]


def test_copy_is_no_object_and_may_be_deleted(bench: Bench) -> None:
    bench.click(0, 20, 20)
    copy = duplicate(bench, bench.labels[0])

    bench.viewer.layers.remove(copy)

    assert len(bench.workspace.objects) == 1
    assert bench.mask(0)[20, 20]


def test_layers_of_others_are_left_alone(bench: Bench) -> None:
    bench.click(0, 20, 20)
    own = bench.viewer.add_labels(np.ones((10, 64, 64), np.uint8))
    data = own.data

    copy = duplicate(bench, own)

    assert own.data is data
    assert isinstance(copy.data, np.ndarray)


def test_copy_of_large_frames(cache: Path) -> None:
    store = LabelStore(cache / "work.sam3")
    labels = store.create("object-1", (2, 2100, 2100))
    box = Box(0, 0, 4, 4)
    labels.write(
        (0,), labels.read((0,), box).written(1, np.ones((4, 4), bool), np.ones((4, 4), bool)), box
    )
    copy = Labels(deepcopy(labels.layer_data), multiscale=True)

    give_own_files(copy, store)
    labels.write((0,), labels.read((0,), box).without(1), box)

    assert not np.asarray(labels.layer_data[0][0, :4, :4]).any()
    assert np.asarray(copy.data[0][0, :4, :4]).all()
    assert np.asarray(copy.data[-1][0, :2, :2]).all()


@pytest.mark.usefixtures("full_tree")
def test_full_disk_is_told(bench: Bench) -> None:
    bench.click(0, 20, 20)

    copy = duplicate(bench, bench.labels[0])

    assert len(bench.messages) == 1
    assert copy.name in bench.messages[0]
    assert bench.mask(0)[20, 20]
