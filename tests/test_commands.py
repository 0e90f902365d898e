from __future__ import annotations

import pytest

from napari_sam3 import __version__
from napari_sam3 import commands as cli
from napari_sam3.engine import PromptError


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--help"])

    assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said for name in cli.COMMANDS)


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])

    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main([command, "--help"])

    assert exit_.value.code == 0
    assert f"napari-sam3 {command}" in capsys.readouterr().out


def test_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["sing"])

    assert exit_.value.code == 2
    assert "sing" in capsys.readouterr().err


def test_errors_end_as_one_sentence(monkeypatch, capsys):
    def refuse(arguments):
        raise PromptError("The point is outside: click inside.")

    monkeypatch.setattr("napari_sam3.commands.demo.run", refuse)

    assert cli.main(["demo"]) == 2
    assert capsys.readouterr().err == "napari-sam3 demo: The point is outside: click inside.\n"


def test_image_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert cli.main(["segment", str(tmp_path / "nothing.tif")]) == 2
    assert "cannot be read" in capsys.readouterr().err
