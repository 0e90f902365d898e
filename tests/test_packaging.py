from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
MAX_WEIGHTS = 12 * 2**20  # bytes
QT = ("pyqt", "pyside", "qtpy")
FIND = """
import json, napari_sam3
from npe2 import PluginManager
manager = PluginManager.instance()
manager.discover()
manifest = manager.get_manifest("napari-sam3")
print(json.dumps({
    "file": napari_sam3.__file__,
    "widgets": [widget.display_name for widget in manifest.contributions.widgets],
    "version": napari_sam3.__version__,
}))
"""


def run(*command: object) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(kind: str, source: Path, into: Path) -> Path:
    run(sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", into, source)
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel_of_sdist(sdist, tmp_path_factory):
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return build("wheel", source, tmp_path_factory.mktemp("rebuilt"))


@pytest.fixture
def fresh_python(tmp_path):
    """Make an environment that sees what is installed here, behind what it will have itself."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path)
    inside = {"base": str(tmp_path), "platbase": str(tmp_path)}
    packages = Path(sysconfig.get_path("purelib", "venv", inside))
    (packages / "zz_around.pth").write_text(f"{Path(np.__file__).parents[1]}\n", encoding="utf-8")
    return Path(sysconfig.get_path("scripts", "venv", inside)) / "python"


def install(python: Path, *what: object) -> dict:
    """Install into an environment and return what napari's plugin manager finds in it."""
    alone = ("--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", "--quiet")
    run(sys.executable, "-m", "pip", "--python", python, "install", *alone, *what)
    return json.loads(run(python, "-c", FIND))


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_wheel_carries_all_that_is_not_code(wheel):
    wanted = (
        "napari.yaml",
        "py.typed",
        "engine/backends/embedded/embedded.safetensors",
        "training/default.toml",
    )

    assert {f"napari_sam3/{name}" for name in wanted} <= names(wheel)
    assert any(name.endswith("licenses/LICENSE") for name in names(wheel))


def test_wheel_carries_nothing_else(wheel):
    tops = {name.split("/")[0].split("-")[0] for name in names(wheel)}

    assert tops == {"napari_sam3"}


def test_weights_in_the_wheel_are_small(wheel):
    with zipfile.ZipFile(wheel) as archive:
        weights = archive.getinfo("napari_sam3/engine/backends/embedded/embedded.safetensors")

    assert 0 < weights.file_size <= MAX_WEIGHTS


def test_sdist_carries_all_to_test_and_document_it(sdist):
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}

    assert {
        "LICENSE",
        "README.md",
        "docs/index.md",
        "mkdocs.yml",
        "napari.yaml",
        "pyproject.toml",
        "tests/test_packaging.py",
        "tox.ini",
    } <= held


def test_wheel_of_the_sdist_is_the_same_wheel(wheel, wheel_of_sdist):
    assert names(wheel_of_sdist) == names(wheel)


def test_napari_finds_the_wheel(wheel, fresh_python, tmp_path):
    found = install(fresh_python, wheel)

    assert found["widgets"] == ["SAM 3: segment and track"]
    assert Path(found["file"]).is_relative_to(tmp_path)


def test_napari_finds_the_wheel_of_the_sdist(wheel_of_sdist, fresh_python, tmp_path):
    found = install(fresh_python, wheel_of_sdist)

    assert found["widgets"] == ["SAM 3: segment and track"]
    assert Path(found["file"]).is_relative_to(tmp_path)


def test_napari_finds_the_editable_package(fresh_python):
    found = install(fresh_python, "--editable", ROOT)

    assert found["widgets"] == ["SAM 3: segment and track"]
    assert Path(found["file"]) == ROOT / "src" / "napari_sam3" / "__init__.py"


def test_package_asks_for_no_qt(wheel):
    always = [line for line in metadata(wheel).get_all("Requires-Dist") if "extra ==" not in line]

    assert always
    assert [line for line in always if line.lower().startswith(QT)] == []


def test_package_is_found_among_plugins_of_napari(wheel):
    assert "Framework :: napari" in metadata(wheel).get_all("Classifier")
    assert metadata(wheel)["License-Expression"] == "BSD-3-Clause"


def test_citation_has_the_version_of_the_package(wheel):
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()

    assert f"version: {metadata(wheel)['Version']}" in citation
