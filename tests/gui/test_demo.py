from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam3.controller import Controller
from napari_sam3.engine import Engine
from napari_sam3.gui.demo import outline_and_propagate
from napari_sam3.gui.jobs import BackgroundJobs
from tests.backends import DiskBackend, disk_frames


@pytest.fixture
def controller(qtbot):
    jobs = BackgroundJobs()
    controller = Controller(ViewerModel(), jobs, lambda: Engine(DiskBackend()))
    yield controller
    jobs.close()
    controller.close()


def test_demo_outlines_the_cells_and_propagates_them(controller, qtbot):
    first = disk_frames([(20, 20), (22, 22), (24, 24)])
    second = disk_frames([(50, 50), (49, 48), (48, 46)])
    image = controller.viewer.add_image(np.maximum(first, second))

    outline_and_propagate(controller, image, np.array([(20, 20), (50, 50)]))
    qtbot.waitUntil(lambda: not controller.is_running, timeout=10_000)

    results = controller.annotation.workspace.results
    assert [results.mask((2,), 1).pixels[24, 24], results.mask((2,), 2).pixels[48, 46]] == [
        True,
        True,
    ]
    assert [obj.name for obj in controller.annotation.workspace.objects] == ["cell 1", "cell 2"]
