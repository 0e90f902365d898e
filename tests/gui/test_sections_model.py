"""The choice of a model in the dock, and the window of all models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_sam3.engine import Engine, ModelError
from napari_sam3.engine.backends.embedded.model import shipped_weights
from napari_sam3.gui.dock import SegmentationDock
from tests.controller.bench import MOVIE, PATH
from tests.controller.models import EDGETAM, SAM3, Computer
from tests.gui.window import Window

YES, NO = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Computer:
    return Computer(monkeypatch, tmp_path / "hub")


@pytest.fixture
def window(computer: Computer, make_napari_viewer: Callable[..., Any], qtbot: Any) -> Window:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(MOVIE, name="disks")
    viewer.dims.set_current_step(0, 0)
    dock = SegmentationDock(viewer, computer.load)
    viewer.window.add_dock_widget(dock, name="SAM 3", area="right")
    opened = Window(viewer, dock, qtbot)
    opened.until_ready()
    return opened


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All questions to the user, who agrees to each."""
    texts: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda *args: (texts.append(args[-1]), YES)[-1])
    return texts


def choose(window: Window, model: str) -> None:
    """Choose a model in the dock, and wait until it is settled which model is at work."""
    window.dock.model.panel.model.value = model
    window.until_ready()


def click_cell(window: Window, frame: int) -> None:
    window.viewer.dims.set_current_step(0, frame)
    window.click(PATH[frame])
    window.until(lambda: window.dock.controller.hypothesis)
    window.settle()


def test_next_model_goes_on_with_the_objects(window: Window, computer: Computer) -> None:
    click_cell(window, 0)

    choose(window, EDGETAM)
    click_cell(window, 1)

    assert window.viewer.layers["cell 1"].data[1][PATH[1]]
    assert computer.backends[EDGETAM].encoded == 1


def test_model_that_fails_to_load_is_not_the_one_that_is_shown(
    window: Window, computer: Computer, messages: list[Any]
) -> None:
    computer.broken = {EDGETAM}

    choose(window, EDGETAM)

    assert [str(notification.message) for notification in messages] == [
        "The weights are broken: download them again."
    ]
    assert window.dock.model.panel.model.value == "embedded"


def test_model_that_breaks_while_it_loads_is_not_the_one_that_is_shown(
    window: Window, messages: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> Engine:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(window.dock.models, "_load", load)

    with window.qtbot.capture_exceptions() as raised:
        choose(window, EDGETAM)

    assert [str(error) for _, error, _ in raised] == ["out of memory"]
    assert messages == []  # napari makes one of what was raised
    assert window.dock.model.panel.model.value == "embedded"


def test_model_that_is_not_on_this_computer_is_shown_with_its_download(window: Window) -> None:
    choose(window, SAM3)

    dialog = window.dock.model.dialog
    assert dialog.isVisible()
    assert "SAM License" in dialog.facts.value
    assert "3.5 GB" in dialog.facts.value
    assert "approve every user" in dialog.facts.value
    assert dialog.download.enabled
    assert not dialog.use.enabled
    assert window.dock.model.panel.model.value == "embedded"


def test_list_says_which_models_are_not_on_this_computer(window: Window) -> None:
    models = window.dock.model.panel.model.native
    entries = [models.itemText(index) for index in range(models.count())]

    assert entries[:3] == ["Embedded model", "SAM 3, not on this computer", "EdgeTAM"]


def test_long_wait_is_announced_before_it_begins(window: Window, computer: Computer) -> None:
    computer.models |= {SAM3}

    choose(window, SAM3)

    assert "takes about 30 s" in window.dock.model.panel.hint.value
    assert window.dock.model.panel.hint.visible


def test_window_tells_which_model_suits_this_computer(window: Window) -> None:
    assert window.dock.model.dialog.advice.value.endswith(".")


def test_download_does_not_start_without_consent(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda *args: (questions.append(args[-1]), NO)[-1])
    choose(window, SAM3)

    window.dock.model.dialog.download.native.click()

    assert "takes 3.5 GB of" in questions[0]
    assert not window.dock.models.transfers.is_busy


@pytest.mark.usefixtures("questions")
def test_downloaded_model_is_the_one_that_is_shown(window: Window, computer: Computer) -> None:
    def download(name: str, report: Callable[[int, int], None], _: object) -> Path:
        report(1, 2)
        computer.models.add(name)
        return Path("/hub/models--facebook--sam3/snapshots/abc")

    computer.download_with(download)
    choose(window, SAM3)

    window.dock.model.dialog.download.native.click()
    window.until(lambda: window.dock.model.panel.model.value == SAM3)

    window.until_ready()
    assert SAM3 in computer.backends


@pytest.mark.usefixtures("questions")
def test_download_shows_its_progress_and_is_stopped_quietly(
    window: Window, computer: Computer, messages: list[Any]
) -> None:
    waiting = computer.hold_downloads()
    choose(window, SAM3)
    dialog = window.dock.model.dialog
    dialog.download.native.click()
    window.until(waiting.is_set)
    window.until(lambda: dialog.progress.value == 250)

    dialog.stop.native.click()
    window.until(lambda: not window.dock.models.transfers.is_busy)

    assert dialog.message.value == "Stopped."
    assert not messages
    assert dialog.download.enabled


@pytest.mark.usefixtures("questions")
def test_refused_download_says_what_to_do(
    window: Window, computer: Computer, messages: list[Any]
) -> None:
    sentence = "Its makers approve every user: ask for access."

    def refuse(*_: object) -> Path:
        raise ModelError(sentence)

    computer.download_with(refuse)
    choose(window, SAM3)

    window.dock.model.dialog.download.native.click()
    window.until(lambda: not window.dock.models.transfers.is_busy)

    assert window.dock.model.dialog.message.value == sentence
    assert [str(notification.message) for notification in messages] == [sentence]


def test_opened_file_is_in_the_list_of_models(
    window: Window, computer: Computer, tmp_path: Path
) -> None:
    weights = Path(shutil.copy(shipped_weights(), tmp_path / "mine.safetensors"))

    window.dock.model.dialog.path_selected.emit(weights)
    window.until(lambda: str(weights) in computer.backends)
    window.until_ready()

    panel = window.dock.model.panel
    assert panel.model.value == str(weights)
    assert panel.model.native.currentText() == "Embedded model: mine.safetensors"


@pytest.mark.usefixtures("questions")
def test_viewer_closed_during_a_download_leaves_quietly(window: Window, computer: Computer) -> None:
    waiting = computer.hold_downloads()
    choose(window, SAM3)
    jobs = window.dock.jobs
    window.dock.model.dialog.download.native.click()
    window.until(waiting.is_set)

    window.viewer.close()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    window.until(lambda: not jobs._streams)
