"""Compares napari-sam3 with the alternatives, in one run on one machine.

Every contender has a process of its own, sees the same movie and gets the same clicks. Weights are
random, except those of the embedded model: they are as slow as the real ones. This process
stays small, since a process that starts another passes on the peak of its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
SAM2, SAM3 = "facebook/sam2.1-hiera-tiny", "facebook/sam3"
MODELS = {"embedded": "embedded", "sam2.1": SAM2, "sam3": SAM3}
FLOORS = {"embedded": "embedded", "SAM 2.1 tiny": SAM2, "SAM 3": SAM3}
MICRO_SAM = "micro-sam"
GROWTH = {
    "frames": [{"frames": count, "objects": 3, "side": 256} for count in (10, 100, 1000)],
    "objects": [{"frames": 10, "objects": count, "side": 512} for count in (1, 5, 20)],
    "side": [{"frames": 5, "objects": 5, "side": side} for side in (512, 1024, 2048)],
}
"""What the embedded model propagates, to see how its cost grows."""
ROWS = {
    "frames": "frames measured",
    "encode": "embed, ms a frame",
    "first click": "first click on a frame, ms",
    "click": "later clicks, ms, median",
    "late click": "95 % of later clicks, ms",
    "decoder": "the decoder alone, ms",
    "propagate": "propagate {objects} objects, ms a frame",
    "encode and propagate": "embed and propagate, ms a frame",
    "reopen": "reopen, ms a frame",
    "click after reopening": "first click after reopening, ms",
    "propagated": "masks that are not empty, %",
    "peak": "peak memory, MiB",
}
"""The rows of the comparison, by the name of their figure."""

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender, and how to start it."""

    name: str
    module: str
    options: Mapping[str, object]
    python: str = sys.executable
    keeps_embeddings: bool = True  # whether it finds its embeddings when it returns


def main(line: Sequence[str] | None = None) -> int:
    """Measure what the command line says."""
    options = parsed(line)
    sys.stdout.write(f"{machine()}\n\n")
    figures: dict[str, object] = {"machine": machine()}
    if options.growth:
        figures["growth"] = measure_growth(options)
    if options.floor:
        figures["floor"] = measure_floors(options)
    if not (options.growth or options.floor):
        figures["compared"] = measure_contenders(options)
    sys.stdout.write(f"Load after it: {load()}.\n")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def parsed(line: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100, help="of the movie; default 100")
    parser.add_argument("--objects", type=int, default=5, help="that are propagated; default 5")
    parser.add_argument("--clicks", type=int, default=20, help="after the first; default 20")
    parser.add_argument("--side", type=int, default=1024, help="of the frames; default 1024 pixels")
    parser.add_argument("--only", nargs="+", choices=[*MODELS, MICRO_SAM], metavar="NAME")
    parser.add_argument(
        "--frames-of",
        nargs="+",
        default=["sam2.1=12", "sam3=4", "micro-sam=12"],
        metavar="NAME=N",
        help="let slow ones see the first frames only; default: sam2.1=12 sam3=4 micro-sam=12",
    )
    parser.add_argument(
        "--model",
        nargs="+",
        default=[],
        metavar="NAME=FOLDER",
        help="take the weights of a folder instead of random ones",
    )
    parser.add_argument("--micro-sam-python", metavar="PATH", help="where micro-sam is installed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--growth", action="store_true", help="with frames, objects and pixels")
    parser.add_argument("--floor", action="store_true", help="beside what the machine can do")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    return parser.parse_args(line)


def entries(options: argparse.Namespace) -> Iterator[Entry]:
    """Return the contenders of a run."""
    models = MODELS | pairs(options.model)
    for name in options.only or [*models, MICRO_SAM]:
        if name == MICRO_SAM and options.micro_sam_python:
            yield Entry(name, "micro_sam", {"model": "vit_b"}, options.micro_sam_python)
        if name not in models:
            continue
        model = models[name]
        yield Entry(name, "contenders", {"contender": "engine", "model": model})
        if name != "embedded":
            stock = {"contender": "stock", "model": model}
            yield Entry(f"stock {name}", "contenders", stock, keeps_embeddings=False)


def measure_contenders(options: argparse.Namespace) -> dict[str, Figures]:
    """Let all contenders take the same steps, one after the other."""
    columns: dict[str, Figures] = {}
    limits = {name: int(count) for name, count in pairs(options.frames_of).items()}
    with tempfile.TemporaryDirectory() as folder:
        movie = Path(folder)
        sizes = {name: getattr(options, name) for name in ("frames", "objects", "clicks", "side")}
        run(sys.executable, "movies", [str(movie), *command_line(sizes)])
        for entry in entries(options):
            limit = limits.get(entry.name.removeprefix("stock "), options.frames)
            try:
                columns[entry.name] = measure_entry(
                    entry, movie, min(options.frames, limit), options.device
                )
            except subprocess.CalledProcessError as error:
                sys.stderr.write(f"{entry.name} is left out: {error}\n")
    sys.stdout.write(comparison_table(columns, options.objects) + ratio_table(columns))
    return columns


def measure_entry(entry: Entry, movie: Path, frames: int, device: str) -> Figures:
    """Let a contender take its steps; if it keeps embeddings, it returns in a second process."""
    sys.stderr.write(f"{entry.name}, {frames} frames; load {load()}\n")
    options = {**entry.options, "frames": frames, "device": device}
    with tempfile.TemporaryDirectory() as folder:
        line = [str(movie), folder, *command_line(options)]
        figures = dict(run(entry.python, entry.module, line))
        if entry.keeps_embeddings:
            figures["encode and propagate"] = figures["encode"] + figures["propagate"]
            return figures | run(entry.python, entry.module, [*line, "--reopen"])
    return figures | {"encode and propagate": figures["propagate"], "reopen": figures["encode"]}


def measure_growth(options: argparse.Namespace) -> dict[str, dict[int, Figures]]:
    """Let the embedded model propagate more and more."""
    figures: dict[str, dict[int, Figures]] = {}
    for name, sizes in GROWTH.items():
        figures[name] = {}
        for size in sizes:
            line = command_line({**size, "device": options.device})
            figures[name][size[name]] = run(sys.executable, "growth", line)
        sys.stdout.write(growth_table(name, figures[name]))
        sys.stdout.flush()
    return figures


def measure_floors(options: argparse.Namespace) -> dict[str, Mapping[str, Figures]]:
    """Count what every model calculates, and time it."""
    wanted = {MODELS[name] for name in options.only or MODELS if name in MODELS}
    figures: dict[str, Mapping[str, Figures]] = {}
    for title, model in FLOORS.items():
        if model in wanted:
            line = {"model": model, "side": options.side, "device": options.device}
            figures[title] = run(sys.executable, "floor", command_line(line))
    sys.stdout.write(floor_table(figures))
    return figures


def run(python: str, module: str, line: Sequence[str]) -> Any:
    """Run a module of the benchmarks and return the figures on its last line, if any."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        if python != sys.executable:  # which has the package, but not what lies beside it
            Path(folder, PACKAGE.name).symlink_to(PACKAGE)
            environment["PYTHONPATH"] = folder
        output = subprocess.run(
            [python, "-m", f"{PACKAGE.name}.benchmarks.{module}", *line],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=environment,
        ).stdout
    last = output.strip().rpartition("\n")[2]
    return json.loads(last) if last.startswith("{") else {}


def command_line(options: Mapping[str, object]) -> list[str]:
    """Write options as a command line takes them."""
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def pairs(words: Sequence[str]) -> dict[str, str]:
    """Read words such as ``sam3=4``."""
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def machine() -> str:
    """Name the machine, and how busy it is."""
    threads = os.environ.get("OMP_NUM_THREADS", "as many as there are cores")
    return (
        f"{platform.platform()}, {os.cpu_count()} cores, threads: {threads}, "
        f"Python {platform.python_version()}. Load before it: {load()}."
    )


def load() -> str:
    """Return how many processes wanted a core on average in the last minute."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def comparison_table(columns: Mapping[str, Figures], objects: int) -> str:
    """Return the figures of every contender."""
    rows = [
        [title.format(objects=objects), *(rounded(own.get(name)) for own in columns.values())]
        for name, title in ROWS.items()
    ]
    return table(["", *columns], rows)


def ratio_table(columns: Mapping[str, Figures]) -> str:
    """Return the ratios of each model of ours to itself, and to the stock classes."""
    rows = []
    for name, ours in columns.items():
        if "stock" in name or MICRO_SAM in name:
            continue
        stock = columns.get(f"stock {name}", {})
        rows.append(
            [
                name,
                ratio(ours.get("click"), ours.get("decoder")),
                ratio(stock.get("propagate"), ours.get("propagate")),
                ratio(stock.get("propagate"), ours.get("encode and propagate")),
                ratio(ours.get("encode"), ours.get("reopen")),
            ]
        )
    titles = [
        "",
        "later click : decoder alone",
        "stock : ours, propagation",
        "stock : ours, embedding and propagation",
        "embedding : reopening",
    ]
    return table(titles, rows)


def growth_table(name: str, figures: Mapping[int, Figures]) -> str:
    """Return how time and memory grow with a size."""
    rows = [
        [str(size), *(rounded(own.get(key)) for key in ("propagate", "propagated", "peak"))]
        for size, own in figures.items()
    ]
    titles = [name, "embed and propagate, ms a frame", "masks that are not empty, %", "peak, MiB"]
    return table(titles, rows)


def floor_table(models: Mapping[str, Mapping[str, Figures]]) -> str:
    """Return what each step of each model takes at least, and what it took."""
    rows = []
    for model, steps in models.items():
        for step in ("encode", "click"):
            own = steps[step]
            least = max(own["calculating"], own["moving"])
            rows.append(
                [
                    f"{model}, {step}",
                    f"{own['flops'] / 1e9:.1f}",
                    f"{own['bytes'] / 1e6:.1f}",
                    *map(rounded, (own["calculating"], own["moving"], least, own["measured"])),
                    ratio(own["measured"], least),
                ]
            )
    titles = ["", "GFLOP", "MB", "calculating, ms", "moving, ms", "floor, ms", "measured, ms"]
    return table([*titles, "measured : floor"], rows)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells under their titles, in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def rounded(figure: float | None) -> str:
    """Write a figure with as many digits as can be trusted."""
    if figure is None:
        return ""
    return f"{figure:.0f}" if abs(figure) >= 100 or figure == int(figure) else f"{figure:.1f}"


def ratio(numerator: float | None, denominator: float | None) -> str:
    """Divide figures, where both are there."""
    return f"{numerator / denominator:.2f}" if numerator and denominator else ""


if __name__ == "__main__":
    sys.exit(main())
