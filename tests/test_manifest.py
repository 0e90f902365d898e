from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from app_model.types import KeyBinding
from napari._app_model.constants import MenuId
from napari.utils.shortcuts import default_shortcuts
from npe2 import PluginManifest

from napari_sam3.gui.dock import KeptDock
from napari_sam3.samples import timelapse, zstack

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "src" / "napari_sam3" / "napari.yaml"


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


def test_manifest_at_the_top_level_is_the_one_of_the_package():
    assert (ROOT / "napari.yaml").resolve() == MANIFEST


def test_every_command_leads_to_something_callable(manifest):
    manifest.validate_imports()


def test_dock_is_a_widget_and_an_entry_of_the_layers_menu(manifest):
    (widget,) = manifest.contributions.widgets
    (entry,) = manifest.contributions.menus["napari/layers/segment"]

    assert widget.display_name == "SAM 3: segment and track"
    assert widget.command == entry.command


def test_menus_are_open_to_plugins(manifest):
    assert set(manifest.contributions.menus) <= {str(menu) for menu in MenuId.contributables()}


def test_samples_are_those_of_the_module(manifest):
    samples = {sample.key: sample for sample in manifest.contributions.sample_data}
    commands = {command.id: command for command in manifest.contributions.commands}

    assert set(samples) == {"zstack", "timelapse"}
    for provider in (zstack, timelapse):
        command = commands[samples[provider.__name__].command]
        assert command.python_name == f"{provider.__module__}:{provider.__name__}"


def test_keys_are_not_those_of_napari(manifest):
    taken = {str(key) for keys in default_shortcuts.values() for key in keys}

    contributed = {
        str(KeyBinding.from_str(key))
        for binding in manifest.contributions.keybindings
        for key in (binding.key, binding.mac)
        if key
    }

    assert contributed
    assert not contributed & taken


def test_napari_gives_its_viewer_to_the_dock():
    annotation = inspect.signature(KeptDock).parameters["viewer"].annotation

    assert annotation == "napari.viewer.Viewer"
