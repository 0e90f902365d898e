"""Compares napari-sam3 with what a user would take instead, in one run on one machine.

Every contender has a process of its own, sees the same movie and gets the same clicks. Weights are
random, except those of the embedded model: they are as slow as the real ones. This process
stays small, since a process that starts another one passes on the peak of its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tables import aims, compared, floors, grown

HERE = Path(__file__).parent
SAM2, SAM3 = "facebook/sam2.1-hiera-tiny", "facebook/sam3"
MODELS = {"embedded": "embedded", "sam2.1": SAM2, "sam3": SAM3}
FLOORS = {"embedded": "embedded", "SAM 2.1 tiny": SAM2, "SAM 3": SAM3}
MICRO_SAM = "micro-sam"
GROWTH = {
    "frames": [{"frames": count, "objects": 3, "side": 256} for count in (10, 100, 1000)],
    "objects": [{"frames": 10, "objects": count, "side": 512} for count in (1, 5, 20)],
    "side": [{"frames": 5, "objects": 5, "side": side} for side in (512, 1024, 2048)],
}
"""What the embedded model follows, to see how its cost grows."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender, and how to start it."""

    name: str
    script: str
    model: str
    python: str = sys.executable
    keeps: bool = True  # whether it finds what it embedded when it comes back


def main() -> int:
    """Measure what is asked for on the command line."""
    asked = parsed()
    sys.stdout.write(f"{machine()}\n\n")
    figures: dict[str, object] = {"machine": machine()}
    if asked.growth:
        figures["growth"] = measure_growth(asked)
    if asked.floor:
        figures["floor"] = measure_floors(asked)
    if not (asked.growth or asked.floor):
        figures["compared"] = measure_contenders(asked)
    sys.stdout.write(f"Load after it: {load()}.\n")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def parsed(line: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100, help="of the movie; default 100")
    parser.add_argument("--objects", type=int, default=5, help="that are followed; default 5")
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


def entries(asked: argparse.Namespace) -> Iterator[Entry]:
    """Name who takes part."""
    models = MODELS | pairs(asked.model)
    for name in asked.only or [*models, MICRO_SAM]:
        if name == MICRO_SAM and asked.micro_sam_python:
            yield Entry(name, "with_micro_sam.py", "vit_b", asked.micro_sam_python)
        if name in models:
            yield Entry(name, "ours.py", models[name])
        if name in models and name != "embedded":
            yield Entry(f"stock {name}", "stock.py", models[name], keeps=False)


def measure_contenders(asked: argparse.Namespace) -> dict[str, Figures]:
    """Let everybody take the same steps, one after the other."""
    columns: dict[str, Figures] = {}
    few = {name: int(count) for name, count in pairs(asked.frames_of).items()}
    with tempfile.TemporaryDirectory() as place:
        movie = Path(place)
        sizes = {name: getattr(asked, name) for name in ("frames", "objects", "clicks", "side")}
        run(sys.executable, "movie.py", [str(movie), *options(sizes)])
        for entry in entries(asked):
            frames = min(asked.frames, few.get(entry.name.removeprefix("stock "), asked.frames))
            try:
                columns[entry.name] = competed(entry, movie, frames, asked.device)
            except subprocess.CalledProcessError as error:
                sys.stderr.write(f"{entry.name} is left out: {error}\n")
    sys.stdout.write(compared(columns, asked.objects) + aims(columns))
    return columns


def competed(entry: Entry, movie: Path, frames: int, device: str) -> Figures:
    """Let one contender take its steps; one that keeps things comes back in a second process."""
    sys.stderr.write(f"{entry.name}, {frames} frames; load {load()}\n")
    told = {"model": entry.model, "frames": frames, "device": device}
    with tempfile.TemporaryDirectory() as folder:
        line = [str(movie), folder, *options(told)]
        figures = run(entry.python, entry.script, line)
        if entry.keeps:
            figures["embed and follow"] = figures["embed"] + figures["follow"]
            return figures | run(entry.python, entry.script, [*line, "--reopen"])
    return figures | {"embed and follow": figures["follow"], "reopen": figures["embed"]}


def measure_growth(asked: argparse.Namespace) -> dict[str, dict[int, Figures]]:
    """Let the embedded model follow more and more."""
    found: dict[str, dict[int, Figures]] = {}
    for what, sizes in GROWTH.items():
        found[what] = {}
        for size in sizes:
            line = options(size | {"device": asked.device})
            found[what][size[what]] = run(sys.executable, "growth.py", line)
        sys.stdout.write(grown(what, found[what]))
        sys.stdout.flush()
    return found


def measure_floors(asked: argparse.Namespace) -> dict[str, dict[str, Figures]]:
    """Count what every model calculates, and see how long it takes."""
    wanted = {MODELS[name] for name in asked.only or MODELS if name in MODELS}
    found: dict[str, dict[str, Figures]] = {}
    for title, model in FLOORS.items():
        if model in wanted:
            line = options({"model": model, "side": asked.side, "device": asked.device})
            found[title] = run(sys.executable, "floor.py", line)
    sys.stdout.write(floors(found))
    return found


def run(python: str, script: str, line: Sequence[str]) -> dict[str, float]:
    """Run a script of this folder and return the figures that it tells last, if any."""
    told = subprocess.run(
        [python, str(HERE / script), *line],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    ).stdout
    last = told.strip().rpartition("\n")[2]
    return json.loads(last) if last.startswith("{") else {}


def options(values: dict[str, object]) -> list[str]:
    """Write values the way a command line takes them."""
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def pairs(words: Sequence[str]) -> dict[str, str]:
    """Read words such as ``sam3=4``."""
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def machine() -> str:
    """Name what is measured on, and how busy it is."""
    threads = os.environ.get("OMP_NUM_THREADS", "as many as there are cores")
    return (
        f"{platform.platform()}, {os.cpu_count()} cores, threads: {threads}, "
        f"Python {platform.python_version()}. Load before it: {load()}."
    )


def load() -> str:
    """Return how many processes wanted a core on average in the last minute."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


if __name__ == "__main__":
    sys.exit(main())
