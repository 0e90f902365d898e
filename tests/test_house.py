"""The walls of the house: who may import what, how large a room may grow, and its words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_sam3"
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# What each room may import of the package, beside itself.
WAYS = {
    "values": set(),
    "storage": {"values"},
    "engine": {"values", "storage"},
    "io": {"values", "storage", "engine"},
    "layers": {"values", "storage", "engine", "io"},
    "controller": {"values", "storage", "engine", "layers"},
    "gui": {"values", "storage", "engine", "io", "layers", "controller", "samples"},
    "samples": {"values"},
    "training": {"values", "storage", "engine"},
    "benchmarks": {"values", "engine", "samples"},
    "commands": {
        *("values", "storage", "engine", "io", "layers", "gui"),
        *("samples", "training", "benchmarks"),
    },
}
# Rooms that work on the insides of the engine.
WITH_KEYS = {"training", "benchmarks"}

# The rooms inside the engine: each may import those before it, and none after it.
FLOORS = [
    {"devices", "without_triton", "progress", "bounded_cache"},
    {"images", "weights"},
    {"selection", "backends"},
    {"backends.embedded", "backends.sam", "backends.clip"},
    {"cache"},
    {"loading", "scheduling", "exemplar_library"},
    {"model"},
    {"prefetch", "interactive", "detection"},
    {"propagation"},
    {"session"},
    {"engine"},
    {"__init__"},
]

TORCH = re.compile(
    r"(engine/(devices|loading|without_triton|weights/\w+|backends/(\w+/)?\w+)"
    r"|(training|benchmarks)/(\w+/)?\w+)\.py"
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
THREADED = {"gui/jobs.py", "engine/prefetch.py", "engine/cache/tiers.py"}
DISTRIBUTIONS = {
    "open_clip": "open_clip_torch",
    "skimage": "scikit-image",
    "app_model": "napari",  # napari speaks through both
    "qtpy": "napari",
}

MOST_FILES = 200
"""A new model, format, command or panel may be a file more; all else joins a module."""
MOST_LINES = 600
MOST_TEST_LINES = 800
MOST_FUNCTION_LINES = 40
FEW_LINES = 120
"""A shorter module with one importer needs a reason."""
REASONS = {
    "storage/earlier_layouts.py": "read, and never written again",
    "gui/panels": "one panel a file",
    "gui/dialogs": "one dialog a file",
    "gui/canvas": "clicks and keys are all it knows",
    "gui/demo": "needs napari, which its command runs without",
    "io": "one format a file",
    "commands": "one command a file",
    "engine/backends": "one model a folder",
}

FACES = {"values.__init__", "storage.__init__", "layers.__init__", "samples.__init__"}
"""What these offer has the importers of the face."""

# What stands on the right side of the glossary, as a part of an identifier.
WORDS = re.findall(
    r"\w+",
    "reading readings look looks looking looked ahead follow follows following followed follower "
    "walk walks walking walker chase trail trails finder finding place places placed said asked "
    "asking ask question questions guess guesses answer answers answered seam seams piece pieces "
    "meeting met sieve chosen covered recall recollection remember remembered remembering maps "
    "waves seeds likeness meaning alike squeeze squeezed spread picture pictures arithmetic passes "
    "shelf shelves room trouble obstacle adopt adopted adoption lesson lessons exposure exposed "
    "tally trio trios thing things one other others user users",
)
# The same in sentences: only words that mean nothing else.
SENTENCE_WORDS = re.findall(
    r"\w+",
    "seam seams sieve recollection likeness lesson lessons trio trios tally obstacle obstacles "
    "shelf shelves adopt adopted chase chases chased",
)
# Names that others have given.
FOREIGN = {
    "random_walker",  # scikit-image
    "recall",  # in the names of tensors in the file of weights
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path, nodes: Iterable[ast.AST] | None = None) -> Iterator[str]:
    """Name all that a file imports, as in `napari_sam3.engine.Engine`."""
    package = ("napari_sam3", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(parsed(path)) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            source = [*parents, *([node.module] if node.module else [])]
            yield from (".".join([*source, name.name]) for name in node.names)


@cache
def exported(face: Path) -> frozenset[str]:
    """Name what the face of a room offers."""
    nodes = parsed(face).body if face.exists() else []
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return frozenset(name.asname or name.name for node in froms for name in node.names)


def own_module(name: str) -> str | None:
    """Return the module of the package that an imported name is, or is defined in."""
    parts = name.split(".")
    if parts[0] != "napari_sam3":
        return None
    if parts[-1] in exported(PACKAGE.joinpath(*parts[1:-1], "__init__.py")):
        return ".".join([*parts[1:-1], "__init__"])
    for count in (len(parts), len(parts) - 1):
        where = PACKAGE.joinpath(*parts[1:count])
        if count > 1 and where.with_suffix(".py").exists():
            return ".".join(parts[1:count])
        if where.is_dir():
            return ".".join([*parts[1:count], "__init__"])
    return None


def names(path: Path) -> set[str]:
    """Name all that a file calls or refers to."""
    nodes = list(ast.walk(parsed(path)))
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    return plain | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@cache
def by_word() -> dict[str, list[str]]:
    """Sort what all files define by the words in their names."""
    found = defaultdict(list)
    for path in FILES:
        for line, name in identifiers(path):
            for word in words_of(name):
                found[word].append(f"{named(path)}:{line} {name}")
    return found


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    """Name all that a file defines: functions, classes, arguments, variables and attributes."""
    for node in ast.walk(parsed(path)):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def words_of(identifier: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def floor(name: str) -> int | None:
    """Return on which floor of the engine a module is."""
    parts = name.split(".")
    if parts[0] != "engine":
        return None
    node = parts[1]
    if node == "backends" and len(parts) > 3:
        node = f"backends.{parts[2]}"
    known = {one: level for level, nodes in enumerate(FLOORS) for one in nodes}
    return known.get(node, known["backends.sam"] if node.startswith("backends.") else len(FLOORS))


def test_imports_point_one_way():
    wrong = [
        (named(path), name)
        for path in FILES
        for name in imported(path)
        if room(path) in WAYS and name.startswith("napari_sam3.")
        if name.split(".")[1] not in WAYS[room(path)] | {room(path), "__version__"}
    ]

    assert wrong == []


def test_rooms_inside_the_engine_have_an_order():
    wrong = [
        (named(path), target)
        for path in FILES
        if room(path) == "engine"
        for target in map(own_module, imported(path))
        if target is not None and target != module(path)
        if (own := floor(module(path))) is not None and (below := floor(target)) is not None
        if below > own
    ]

    assert wrong == []


def test_no_module_imports_itself_through_others():
    arrows = {
        module(path): {
            target for name in imported(path, parsed(path).body) if (target := own_module(name))
        }
        for path in FILES
    }

    def reached(start: str) -> set[str]:
        seen, left = set(), [start]
        while left:
            new = arrows.get(left.pop(), set()) - seen
            seen |= new
            left += new
        return seen

    assert [name for name in arrows if name in reached(name) - {"__init__"}] == []


def test_a_room_is_imported_by_its_face():
    wrong = [
        (named(path), target)
        for path in FILES
        for target in map(own_module, imported(path))
        if target is not None and "." in target
        if (other := target.split(".")[0]) != room(path) and not target.endswith("__init__")
        if not (other == "engine" and room(path) in WITH_KEYS)
        if other not in {"gui", "samples", "training", "benchmarks"}
    ]

    assert wrong == []


def test_torch_appears_in_models_and_training_alone():
    wrong = [
        named(path)
        for path in FILES
        if any(name.split(".")[0] == "torch" for name in imported(path))
        if not TORCH.fullmatch(named(path))
    ]

    assert wrong == []


def test_widgets_appear_in_the_gui_alone():
    wrong = [
        (named(path), name)
        for path in FILES
        if room(path) != "gui"
        for name in imported(path)
        if name.split(".")[0] in WIDGETS or name.startswith(("napari.qt", "napari._qt"))
    ]

    assert wrong == []


def test_values_and_storage_know_no_napari_and_no_torch():
    wrong = [
        (named(path), name)
        for path in FILES
        if room(path) in {"values", "storage", "engine"}
        for name in imported(path)
        if name.split(".")[0] == "napari"
    ]

    assert wrong == []


def test_threads_start_in_few_files_alone():
    starting = [named(path) for path in FILES if names(path) & THREADS]

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


def test_there_are_few_files():
    assert len(FILES) <= MOST_FILES, "join two modules, or see MOST_FILES"


def test_no_file_grows_too_large():
    large = [
        (path.name, count)
        for paths, most in ((FILES, MOST_LINES), (TESTS, MOST_TEST_LINES))
        for path in paths
        if (count := path.read_text(encoding="utf-8").count("\n")) > most
    ]

    assert large == []


def test_functions_are_short():
    long = [
        (named(path), node.name)
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
        if (node.end_lineno or 0) - node.lineno >= MOST_FUNCTION_LINES
    ]

    assert long == []


def test_a_short_module_with_one_importer_has_a_reason():
    importers = defaultdict(set)
    for path in FILES:
        for target in map(own_module, imported(path)):
            if target is not None and target != module(path):
                importers[target].add(module(path))

    without = [
        named(path)
        for path in FILES
        if path.name not in {"__init__.py", "__main__.py"}
        if path.read_text(encoding="utf-8").count("\n") < FEW_LINES
        if len(importers[module(path)]) == 1 and not importers[module(path)] & FACES
        if not named(path).startswith(tuple(REASONS))
    ]

    assert without == []


def test_errors_are_caught_by_name():
    wrong = [
        (named(path), node.lineno)
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        if node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
    ]

    assert wrong == []


def test_nothing_is_printed_or_asserted():
    printing = [named(path) for path in FILES if "print" in names(path)]
    asserting = [
        named(path)
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Assert)
    ]

    assert printing == []
    assert asserting == []


@pytest.mark.parametrize("word", WORDS)
def test_identifiers_use_the_words_of_the_field(word):
    wrong = [name for name in by_word()[word] if name.split()[-1] not in FOREIGN]

    assert wrong == []


def test_sentences_use_the_words_of_the_field():
    banned = re.compile(rf"\b({'|'.join(SENTENCE_WORDS)})\b", re.IGNORECASE)

    wrong = [
        f"{named(path)}: {found.group(0)}"
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for found in banned.finditer(node.value)
    ]

    assert wrong == []
