"""The walls of the house: who may import what, and how large a room may grow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_sam3"
FILES = sorted(PACKAGE.rglob("*.py"))

# What each room may import of the package; others may import everything.
WAYS = {
    "engine": {"engine"},
    "samples": {"samples"},
    "objects.py": {"objects", "layers"},
    "io": {"io", "engine"},
    "training": {"training", "engine"},
    "layers": {"layers", "io", "engine"},
    "controller": {"controller", "layers", "engine", "objects"},
    "gui": {"gui", "controller", "layers", "io", "engine", "objects", "samples", "sample_data"},
}
INSIDE_THE_ENGINE = {"engine", "training", "benchmark.py", "benchmark_sam.py", "stopwatch.py"}
TORCH = re.compile(
    r"(engine/(devices|loading|without_triton|cache/packing_tensors|clip/(loading|model)"
    r"|embedded/\w+|sam/\w+|weights/conversion\w*)|training/(following/)?\w+)\.py"
)
WIDGETS = {"qtpy", "magicgui", "superqt", "PyQt6", "PySide6"}
THREADS = {
    "Thread",
    "Timer",
    "ThreadPoolExecutor",
    "QThread",
    "QThreadPool",
    "thread_worker",
    "create_worker",
    "FunctionWorker",
    "GeneratorWorker",
}
# Jobs of the windows; reading before and writing behind a model that is busy.
THREADED = {"gui/jobs.py", "engine/read_ahead.py", "engine/cache/writer.py"}
DISTRIBUTIONS = {
    "open_clip": "open_clip_torch",
    "skimage": "scikit-image",
    "app_model": "napari",  # napari speaks through both
    "qtpy": "napari",
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imported(path: Path) -> Iterator[str]:
    """Name all that a file imports, as in `napari_sam3.engine.Engine`."""
    package = ("napari_sam3", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            module = [*parents, *([node.module] if node.module else [])]
            yield from (".".join([*module, name.name]) for name in node.names)


def names(path: Path) -> set[str]:
    """Name all that a file calls or refers to."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return plain | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def is_file_of_the_engine(name: str) -> bool:
    parts = name.split(".")
    if parts[:2] != ["napari_sam3", "engine"] or len(parts) < 3 or not parts[2].islower():
        return False
    inside = PACKAGE / "engine" / parts[2]
    return inside.is_dir() or inside.with_suffix(".py").exists()


def test_imports_point_one_way():
    wrong = [
        (place(path), name)
        for path in FILES
        for name in imported(path)
        if name.startswith("napari_sam3.") and room(path) in WAYS
        if name.split(".")[1] not in WAYS[room(path)]
    ]

    assert wrong == []


def test_others_import_the_engine_and_not_its_files():
    wrong = [
        (place(path), name)
        for path in FILES
        if room(path) not in INSIDE_THE_ENGINE
        for name in imported(path)
        if is_file_of_the_engine(name)
    ]

    assert wrong == []


def test_torch_appears_in_models_and_training_alone():
    wrong = [
        place(path)
        for path in FILES
        if any(name.split(".")[0] == "torch" for name in imported(path))
        if not TORCH.fullmatch(place(path))
    ]

    assert wrong == []


def test_widgets_appear_in_the_gui_alone():
    wrong = [
        (place(path), name)
        for path in FILES
        if room(path) != "gui"
        for name in imported(path)
        if name.split(".")[0] in WIDGETS or name.startswith(("napari.qt", "napari._qt"))
    ]

    assert wrong == []


def test_threads_start_in_few_places_alone():
    starting = [place(path) for path in FILES if names(path) & THREADS]

    assert set(starting) <= THREADED


def test_engine_brings_no_napari_and_no_qt():
    code = "import sys, napari_sam3.engine; print(*{name.split('.')[0] for name in sys.modules})"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"napari", "qtpy", "PyQt6", "PySide6", "vispy"} & set(loaded)
    assert not {"torchvision", "triton"} & set(loaded)


def test_every_import_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=!~\[; ]", line)[0] for line in project["dependencies"]}
    roots = {name.split(".")[0] for path in FILES for name in imported(path)}
    foreign = roots - sys.stdlib_module_names - {"napari_sam3"}

    undeclared = {name for name in foreign if DISTRIBUTIONS.get(name, name) not in declared}

    assert undeclared == set()


def test_no_room_grows_too_large():
    large = [
        (place(path), count)
        for path in FILES
        if (count := path.read_text(encoding="utf-8").count("\n")) > 300
    ]
    long = [
        (place(path), node.name)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        if (node.end_lineno or 0) - node.lineno >= 40
    ]

    assert large == []
    assert long == []


def test_errors_are_caught_by_name():
    wrong = [
        (place(path), node.lineno)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        if node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
    ]

    assert wrong == []


def test_nothing_is_printed_or_asserted():
    printing = [place(path) for path in FILES if "print" in names(path)]
    asserting = [
        place(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]

    assert printing == []
    assert asserting == []
