"""The strip at the slider, and the button that encodes a stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QMessageBox, QVBoxLayout, QWidget

from napari_sam3.engine.cache import disk_cache
from napari_sam3.gui.panels.frame_strip import FrameStrip, column_shares
from tests.controller.bench import MOVIE, PATH
from tests.gui.backends import PacedBackend
from tests.gui.window import Window


def encoded(window: Window) -> int:
    """Count the frames that are encoded."""
    return window.dock.controller.prefetch.readiness.count


def forecast(window: Window) -> str:
    window.settle()
    return str(window.dock.encoding.panel.forecast.value)


def click_and_rest(window: Window) -> None:
    window.viewer.dims.set_current_step(0, 3)
    window.click(PATH[3])
    window.until(lambda: encoded(window) == 10)


def test_frames_around_a_click_are_encoded_during_a_rest(
    window: Window, backend: PacedBackend
) -> None:
    click_and_rest(window)

    before = backend.encoded
    window.viewer.dims.set_current_step(0, 5)
    window.click(PATH[5])
    window.until(lambda: window.dock.controller.hypothesis)

    assert backend.encoded == before


def test_strip_lies_over_the_slider_of_the_stack(window: Window) -> None:
    strip = window.dock.encoding.strip
    window.until(strip.isVisible)
    dims = window.viewer.window._qt_viewer.dims
    window.settle()

    slider = dims.slider_widgets[0].slider
    span = strip._span()
    left = strip.mapToGlobal(span.topLeft()).x() - slider.mapToGlobal(QPoint(0, 0)).x()

    assert strip.is_at_slider
    assert strip.height() <= 8
    assert 0 <= left < slider.width() / 8
    assert slider.width() * 3 / 4 < span.width() <= slider.width()


def test_click_on_the_strip_goes_to_the_frame(window: Window) -> None:
    strip = window.dock.encoding.strip
    window.until(strip.isVisible)
    window.settle()
    span = strip._span()

    window.press_at(strip, QPoint(span.left() + round(span.width() * 0.75), 4))

    assert window.viewer.dims.current_step[0] == 7


def test_strip_is_painted_in_the_colour_of_encoded_frames(window: Window) -> None:
    click_and_rest(window)
    strip = window.dock.encoding.strip
    strip.show_state()
    window.settle()

    image = strip.grab().toImage()

    middle = image.pixelColor(strip._span().center().x(), 6)
    assert (middle.red(), middle.green(), middle.blue()) == strip._colour("current")


def test_strip_is_hidden_for_a_single_frame(open_window: Callable[..., Window]) -> None:
    window = open_window(MOVIE[0])
    window.until(lambda: not window.dock.encoding._clock.is_running)

    assert not window.dock.encoding.strip.isVisible()
    assert not window.dock.encoding.panel.run.native.isEnabled()


def test_strip_is_hidden_with_the_dock(window: Window) -> None:
    strip = window.dock.encoding.strip
    window.until(strip.isVisible)

    window.dock.hide()

    assert not strip.isVisible()


def test_window_without_sliders_leaves_the_strip_in_the_dock(window: Window) -> None:
    parent, strip = QWidget(), FrameStrip(window.dock.controller)
    QVBoxLayout(parent)

    strip.move_to_slider(parent)

    assert not strip.is_at_slider
    assert strip._span().width() == strip.width()


def test_whole_stack_is_encoded_by_one_button(window: Window) -> None:
    window.press(window.dock.encoding.panel.run)

    window.until(lambda: encoded(window) == 10)
    window.until(lambda: window.dock.controller.prefetch.stack.state == "idle")
    assert forecast(window) == "10 of 10, 0 MB"
    assert not window.dock.encoding.panel.run.native.isEnabled()


def test_encoding_is_paused_and_resumed(window: Window, backend: PacedBackend) -> None:
    panel = window.dock.encoding.panel
    backend.gate.clear()
    window.press(panel.run)
    window.settle()
    while_running = panel.run.text

    window.press(panel.run)
    window.settle()
    while_paused = panel.run.text
    backend.gate.set()
    window.press(panel.run)

    window.until(lambda: encoded(window) == 10)
    assert (while_running, while_paused) == ("Pause", "Resume")


def test_stack_that_does_not_fit_is_encoded_in_part_with_consent(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []

    def agree(*args: Any) -> QMessageBox.StandardButton:
        questions.append(args[-1])
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "question", agree)
    stack = window.dock.controller.prefetch.stack
    monkeypatch.setattr(type(stack), "fitting", property(lambda _: 4))

    window.press(window.dock.encoding.panel.run)

    window.until(lambda: encoded(window) == 4)
    assert "Only 4 more fit" in questions[0]


@pytest.mark.parametrize("width", [1, 7, 40, 1000])
def test_columns_share_frames_evenly(width: int) -> None:
    flags = np.arange(40) % 2 == 0

    shares = column_shares(flags, width)

    assert shares.shape == (width,)
    assert shares.mean() == pytest.approx(0.5, abs=0.1)


def test_column_of_many_frames_is_as_bright_as_the_share_that_is_encoded() -> None:
    flags = np.zeros(1000, bool)
    flags[:250] = True

    assert column_shares(flags, 2).tolist() == [0.5, 0]


def test_user_is_told_once_that_nothing_more_is_kept_on_disk(
    window: Window, messages: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = window.dock.controller.annotations.engine
    engine.embeddings.set_default_folder(tmp_path)
    monkeypatch.setattr(disk_cache, "free_bytes", lambda _: 0)

    click_and_rest(window)
    engine.embeddings.finish()
    window.click(PATH[4])
    window.until(lambda: messages)
    window.settle()

    assert len(messages) == 1
    assert "there is no room left" in str(messages[0].message)
