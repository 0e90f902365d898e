"""The contender micro-sam, on a stand-in for micro-sam."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from napari_sam3.benchmarks.comparison import measure_reopening
from napari_sam3.benchmarks.micro_sam import MicroSamContender


class Predictor:
    """Predicts three masks of the whole frame."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape

    def set_image(self, image: np.ndarray) -> None:
        assert image.dtype == np.uint8

    def predict(self, **prompts: object) -> tuple[np.ndarray, np.ndarray, None]:
        return np.ones((3, *self._shape), bool), np.array([0.1, 0.9, 0.5]), None


@pytest.fixture
def selected(monkeypatch):
    """Install a stand-in for micro-sam, and collect the frames that are selected."""
    frames = []
    util, stacks = ModuleType("micro_sam.util"), ModuleType("micro_sam.stacks")
    util.precompute_image_embeddings = lambda *_, **__: SimpleNamespace()
    util.set_precomputed = lambda _, __, i: frames.append(i)
    stacks.segment_mask_in_volume = lambda volume, *_, **__: volume.fill(1)
    monkeypatch.setitem(sys.modules, "micro_sam", ModuleType("micro_sam"))
    monkeypatch.setitem(sys.modules, "micro_sam.util", util)
    monkeypatch.setitem(sys.modules, "micro_sam.multi_dimensional_segmentation", stacks)
    return frames


def test_micro_sam_propagates_every_object_through_all_frames(selected, task):
    contender = MicroSamContender(Predictor(task.movie.shape[1:]), task)

    assert contender.propagate() == len(task.objects) * len(task.movie)


def test_micro_sam_clicks_on_the_frame_that_was_selected_last(selected, task):
    contender = MicroSamContender(Predictor(task.movie.shape[1:]), task)

    figures = measure_reopening(contender, task)

    assert selected == [0, 1, 2]
    assert list(figures) == ["reopen", "click after reopening"]
