"""Choosing a model: getting it, checking it, and going on with what was done before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_sam3.engine import Budgets, Engine, ModelError
from napari_sam3.engine.backends.embedded.model import shipped_weights
from napari_sam3.gui import models as model_choice
from napari_sam3.gui.dock import SegmentationDock
from tests.backends import DiskBackend
from tests.controller.bench import MOVIE, PATH
from tests.gui.window import Window

SAM3 = "facebook/sam3"
EDGETAM = "yonigozlan/EdgeTAM-hf"
BUDGETS = Budgets(memory=10**8, device=10**8, disk=0)
YES, NO = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No


class Shelf:
    """The models that are on this computer, and what loading each of them gives."""

    def __init__(self) -> None:
        self.here = {"embedded", EDGETAM}
        self.backends: dict[str, DiskBackend] = {}
        self.broken: set[str] = set()

    def load(self, model: str, device: str) -> Engine:
        if model in self.broken:
            raise ModelError("The weights are broken: download them again.")
        return Engine(self.backends.setdefault(model, DiskBackend()), BUDGETS)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shelf:
    made = Shelf()
    monkeypatch.setattr(model_choice, "is_here", lambda name: name in made.here)
    monkeypatch.setattr(model_choice, "hub_folder", lambda: tmp_path / "hub")
    return made


@pytest.fixture
def window(store: Shelf, make_napari_viewer: Callable[..., Any], qtbot: Any) -> Window:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(MOVIE, name="disks")
    viewer.dims.set_current_step(0, 0)
    dock = SegmentationDock(viewer, store.load)
    viewer.window.add_dock_widget(dock, name="SAM 3", area="right")
    opened = Window(viewer, dock, qtbot)
    opened.until(lambda: "ready" in dock.model.state.value)
    return opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All questions asked, each answered with yes."""
    questions: list[str] = []

    def answer(_parent: object, _title: str, question: str) -> QMessageBox.StandardButton:
        questions.append(question)
        return YES

    monkeypatch.setattr(QMessageBox, "question", answer)
    return questions


def choose(window: Window, model: str) -> None:
    """Choose a model in the dock, and wait until it is settled which one is at work."""
    window.dock.model.model.value = model
    window.until(lambda: "ready" in window.dock.model.state.value)


def click_cell(window: Window, frame: int) -> None:
    window.viewer.dims.set_current_step(0, frame)
    window.click(PATH[frame])
    window.until(lambda: window.dock.controller.hypothesis)
    window.settle()


def test_other_model_goes_on_with_objects_prompts_and_masks(window: Window, store: Shelf) -> None:
    click_cell(window, 0)
    before = np.array(window.viewer.layers["cell 1"].data[0])

    choose(window, EDGETAM)
    click_cell(window, 1)

    masks = np.asarray(window.viewer.layers["cell 1"].data)
    np.testing.assert_array_equal(masks[0], before)
    assert masks[1][PATH[1]]
    assert [obj.name for obj in window.dock.controller.work.workspace.objects] == ["cell 1"]
    assert store.backends[EDGETAM].encoded == 1


def test_model_that_fails_to_load_leaves_the_one_before_at_work(
    window: Window, store: Shelf, messages: list[Any]
) -> None:
    store.broken = {EDGETAM}

    choose(window, EDGETAM)
    click_cell(window, 0)

    assert [str(one.message) for one in messages] == [
        "The weights are broken: download them again."
    ]
    assert window.dock.model.model.value == "embedded"
    assert store.backends["embedded"].segmented == 1


def test_model_that_fails_its_first_question_leaves_the_one_before_at_work(
    window: Window, store: Shelf, messages: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = DiskBackend(device="cuda")
    store.backends[EDGETAM] = small

    def fail(*_: object) -> None:
        raise ModelError("The memory of the graphics card is too small.")

    monkeypatch.setattr(small, "encode", fail)

    choose(window, EDGETAM)
    click_cell(window, 0)

    assert [str(one.message) for one in messages] == [
        "The memory of the graphics card is too small."
    ]
    assert store.backends["embedded"].segmented == 1


def test_model_that_breaks_while_it_loads_leaves_the_one_before_at_work(
    window: Window, messages: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> Engine:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(window.dock.models, "_load", load)

    with window.qtbot.capture_exceptions() as raised:
        choose(window, EDGETAM)

    assert [str(error) for _, error, _ in raised] == ["out of memory"]
    assert messages == []  # napari makes one of what was raised
    assert window.dock.model.model.value == "embedded"


def test_model_that_is_not_here_is_offered(window: Window, store: Shelf) -> None:
    choose(window, SAM3)

    dialog = window.dock.models.dialog
    assert dialog.isVisible()
    assert "SAM License" in dialog.facts.value
    assert "3.5 GB" in dialog.facts.value
    assert "approve every user" in dialog.facts.value
    assert dialog.download.enabled
    assert not dialog.use.enabled
    assert window.dock.model.model.value == "embedded"


def test_list_says_which_models_are_not_here(window: Window) -> None:
    entries = [
        window.dock.model.model.native.itemText(index)
        for index in range(window.dock.model.model.native.count())
    ]

    assert entries[:3] == ["Embedded model", "SAM 3, not on this computer", "EdgeTAM"]


def test_long_wait_is_announced_before_it_begins(window: Window, store: Shelf) -> None:
    store.here |= {SAM3}

    choose(window, SAM3)

    assert window.dock.model.hint.value == (
        "Looking at one image takes about 30 s with this model on this computer."
    )
    assert store.backends[SAM3].encoded == 0


def test_dock_tells_which_model_suits_this_computer(window: Window) -> None:
    assert window.dock.models.dialog.advice.value.endswith(".")


def test_download_is_asked_about_with_licence_size_and_room(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda *said: (questions.append(said[-1]), NO)[-1])
    choose(window, SAM3)

    window.dock.models.dialog.download.native.click()

    assert "SAM License" in questions[0]
    assert "takes 3.5 GB of" in questions[0]
    assert not window.dock.models.transfers.is_busy


def test_downloaded_model_is_loaded(
    window: Window, store: Shelf, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrive(name: str, report: Callable[[int, int], None], _: object) -> Path:
        report(1, 2)
        store.here.add(name)
        return Path("/hub/models--facebook--sam3/snapshots/abc")

    monkeypatch.setattr(model_choice, "downloaded", arrive)
    choose(window, SAM3)

    window.dock.models.dialog.download.native.click()
    window.until(lambda: window.dock.model.model.value == SAM3)

    window.until(lambda: "ready" in window.dock.model.state.value)
    assert SAM3 in store.backends


def test_stopped_download_says_so_and_no_more(
    window: Window, asked: list[str], messages: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = hold_downloads(monkeypatch)
    choose(window, SAM3)
    dialog = window.dock.models.dialog
    dialog.download.native.click()
    window.until(waiting.is_set)
    window.until(lambda: dialog.progress.value == 250)

    dialog.stop.native.click()
    window.until(lambda: not window.dock.models.transfers.is_busy)

    assert dialog.message.value == "Stopped."
    assert not messages
    assert dialog.download.enabled


def test_refused_download_says_what_to_do(
    window: Window, asked: list[str], messages: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "Its makers approve every user: ask for access."

    def refuse(*_: object) -> Path:
        raise ModelError(sentence)

    monkeypatch.setattr(model_choice, "downloaded", refuse)
    choose(window, SAM3)

    window.dock.models.dialog.download.native.click()
    window.until(lambda: not window.dock.models.transfers.is_busy)

    assert window.dock.models.dialog.message.value == sentence
    assert [str(one.message) for one in messages] == [sentence]


def test_opened_file_is_checked_and_loaded(window: Window, store: Shelf, tmp_path: Path) -> None:
    place = Path(shutil.copy(shipped_weights(), tmp_path / "mine.safetensors"))

    window.dock.models.open(place)
    window.until(lambda: window.dock.model.model.value == str(place))

    assert window.dock.model.model.native.currentText() == "Embedded model: mine.safetensors"
    assert str(place) in store.backends


def test_opened_file_that_is_broken_is_refused(
    window: Window, messages: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"<html>")

    window.dock.models.open(tmp_path / "model.safetensors")
    window.until(lambda: messages)

    assert "is not a safetensors file" in str(messages[0].message)
    assert window.dock.model.model.value == "embedded"


def test_published_file_is_converted_when_the_user_agrees(
    window: Window, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    torch.save({"detector.a": torch.ones(1), "tracker.a": torch.ones(1)}, tmp_path / "sam3.pt")

    def convert(path: Path, into: Path, report: Callable[[int, int], None]) -> Path:
        report(1, 2)
        into.mkdir()
        shutil.copy(shipped_weights(), into / "model.safetensors")
        return into

    monkeypatch.setattr(model_choice, "converted", convert)

    window.dock.models.open(tmp_path / "sam3.pt")
    weights = str(tmp_path / "sam3-converted" / "model.safetensors")
    window.until(lambda: window.dock.model.model.value == weights)

    assert "must be converted once" in asked[0]


def test_viewer_closed_during_a_download_leaves_quietly(
    window: Window, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = hold_downloads(monkeypatch)
    choose(window, SAM3)
    jobs = window.dock.jobs
    window.dock.models.dialog.download.native.click()
    window.until(waiting.is_set)

    window.viewer.close()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    window.until(lambda: not jobs._streams)


def hold_downloads(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Let downloads get to a quarter and wait there to be stopped; set once one waits."""
    waiting = Event()

    def hold(_: str, report: Callable[[int, int], None], is_cancelled: Callable[[], bool]) -> Path:
        while not is_cancelled():
            report(1, 4)
            waiting.set()
        raise ModelError("Stopped.")

    monkeypatch.setattr(model_choice, "downloaded", hold)
    return waiting
