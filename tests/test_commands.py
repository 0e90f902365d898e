from __future__ import annotations

import pytest

from napari_sam3 import __version__, commands
from napari_sam3.engine import PromptError


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as exit_:
        commands.main(["--help"])

    assert exit_.value.code == 0
    output = capsys.readouterr().out
    assert all(name in output for name in commands.COMMANDS)


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit):
        commands.main(["--version"])

    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        commands.main([command, "--help"])

    assert exit_.value.code == 0
    assert f"napari-sam3 {command}" in capsys.readouterr().out


def test_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as exit_:
        commands.main(["sing"])

    assert exit_.value.code == 2
    assert "sing" in capsys.readouterr().err


def test_errors_end_as_one_sentence(monkeypatch, capsys):
    def refuse(arguments):
        raise PromptError("The point is outside: click inside.")

    monkeypatch.setattr("napari_sam3.commands.demo.run", refuse)

    assert commands.main(["demo"]) == 2
    assert capsys.readouterr().err == "napari-sam3 demo: The point is outside: click inside.\n"


def test_image_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert commands.main(["segment", str(tmp_path / "nothing.tif")]) == 2
    assert "cannot be read" in capsys.readouterr().err
