from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam3.training.config import Config


def test_the_defaults_are_complete():
    config = Config.read()

    assert config.real_images is None
    assert config.prompt_minutes > 0


def test_later_files_override_earlier_ones(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('prompt_minutes = 3.0\nreal_images = "somewhere"')

    config = Config.read(file)

    assert config.prompt_minutes == 3
    assert config.real_images == Path("somewhere")


def test_an_unknown_field_is_an_error(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("hours = 3")

    with pytest.raises(ValueError, match="hours"):
        Config.read(file)
