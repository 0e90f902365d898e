"""The end of a process, in whatever state the window is."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import napari
import numpy as np
from qtpy.QtWidgets import QApplication

viewer = napari.Viewer(show=True)
viewer.add_image(np.eye(64))
shell, kept = viewer.window.add_plugin_dock_widget("napari-sam3", "SAM 3: segment and track")
kept.dock.controller.click((20, 20), is_positive=True)
for _ in range(20):
    QApplication.processEvents()
"""
CLOSED = """
shell.title.close_button.click()
QApplication.processEvents()
"""


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("script", [SCRIPT, SCRIPT + CLOSED], ids=["open", "closed"])
def test_a_script_may_end_while_the_dock_loads_its_model(script: str) -> None:
    ended: subprocess.CompletedProcess[Any] = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=300
    )

    assert (ended.returncode, ended.stderr) == (0, "")
