from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from napari.utils.notifications import notification_manager
from tifffile import imwrite

from napari_sam3.gui import menu


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer()


def test_a_chosen_ome_zarr_is_shown(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zarr.create_array(tmp_path / "plain.zarr", data=np.ones((20, 30), np.uint8))
    path = str(tmp_path / "plain.zarr")
    monkeypatch.setattr(menu.QFileDialog, "getExistingDirectory", lambda *_: path)

    menu.open_ome_zarr(viewer)

    assert [layer.name for layer in viewer.layers] == ["plain"]


def test_a_chosen_tiff_is_shown(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imwrite(tmp_path / "movie.tif", np.ones((4, 20, 30), np.uint8), photometric="minisblack")
    path = str(tmp_path / "movie.tif"), ""
    monkeypatch.setattr(menu.QFileDialog, "getOpenFileName", lambda *_, **__: path)

    menu.open_tiff(viewer)

    assert viewer.layers[0].data.shape == (4, 20, 30)


def test_nothing_happens_when_nothing_is_selected(
    viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(menu.QFileDialog, "getExistingDirectory", lambda *_: "")

    menu.open_ome_zarr(viewer)

    assert len(viewer.layers) == 0


def test_a_folder_that_is_no_image_is_refused(viewer: Any, tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    notification_manager.records.clear()

    menu.show(viewer, tmp_path / "empty.zarr")

    assert "holds no OME-Zarr image" in str(notification_manager.records[-1].message)
    notification_manager.records.clear()


def test_the_entries_are_in_the_file_menu(viewer: Any) -> None:
    from napari._app_model import get_app_model

    app = get_app_model()
    titles = {command.id for command in app.commands._commands.values()}

    assert {"napari-sam3.open_ome_zarr", "napari-sam3.open_tiff"} <= titles


def test_labels_in_several_sizes_are_saved_from_the_menu(viewer: Any, tmp_path: Path) -> None:
    labels = np.zeros((3000, 3000), np.uint16)
    labels[10:20, 10:20] = 1
    layer = viewer.add_labels([labels, labels[::2, ::2]], multiscale=True)

    saved = layer.save(str(tmp_path / "cells.zarr"))

    assert saved == [str(tmp_path / "cells.zarr")]
    np.testing.assert_array_equal(zarr.open_group(saved[0], mode="r")["0"][:], labels)
