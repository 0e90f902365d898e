"""Outline objects of an image file; without points and boxes, what a text means or everything."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from ..engine import Clip, Engine, Frames, KeptCandidates, Selection, Session, choose
from ..io import LabelFile, Measurements, open_image
from ..values import MaskPlace, ObjectMask, Prompts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("image", type=Path, help="a tif, png, jpg or OME-Zarr")
    parser.add_argument(
        "--points",
        action="append",
        nargs="+",
        type=_numbers(2),
        default=[],
        metavar="ROW,COL",
        help="points inside one object, in pixels; repeat the option for further objects",
    )
    parser.add_argument(
        "--box",
        action="append",
        type=_numbers(4),
        default=[],
        metavar="ROW,COL,ROW,COL",
        help="two corners of a box around one object; repeat the option for further objects",
    )
    parser.add_argument("--text", help='what to find, as in "nucleus, not debris"')
    parser.add_argument(
        "--clip", help="a text model for models that read no words: a folder, or a name on the hub"
    )
    parser.add_argument("--frame", type=int, default=0, help="where the prompts are; default 0")
    parser.add_argument(
        "--propagate", action="store_true", help="follow the objects through the whole stack"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="a tif, or OME-Zarr if it ends in .zarr; default IMAGE-labels.tif",
    )
    parser.add_argument("--table", type=Path, help="score, area and position of every mask, csv")
    parser.add_argument(
        "--model", default="embedded", help="a name, folder or file; default embedded"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or mps; default auto")


def run(arguments: argparse.Namespace) -> int:
    """Segment the file and write labels, and a table where one is asked for."""
    with closing(open_image(arguments.image)) as image:
        frames = image.frames()
        output = arguments.output or _output(arguments.image, frames)
        session = _engine(arguments).open(frames)
        masks = _masks(session, arguments, _prompts(arguments))
        followed = session.propagate(masks) if arguments.propagate and masks else masks.values()
        table = Measurements(arguments.table) if arguments.table else None
        highest = max((number for _, number in masks), default=0)
        shape = (len(frames), *frames.shape)
        with LabelFile(output, shape, highest, image.geometry) as labels:
            for mask in followed:
                labels.paint(mask)
                if table is not None:
                    table.add(mask)
        session.close()
    sys.stdout.write(f"{len(masks)} objects, labels in {output}\n")
    return 0


def _engine(arguments: argparse.Namespace) -> Engine:
    """Load the model, and a text model where one is named."""
    engine = Engine.load(arguments.model, device=arguments.device)
    if arguments.clip:
        engine.read_texts_with(Clip.load(arguments.clip, arguments.device))
    if remark := engine.remark(arguments.text or ""):
        sys.stderr.write(f"{remark}\n")
    return engine


def _output(image: Path, frames: Frames) -> Path:
    """Name the labels of an image: OME-Zarr where it is large, a TIFF else."""
    name = image.name.removesuffix(".zarr").removesuffix(".ome")
    stem = name if image.name.endswith(".zarr") else image.stem.removesuffix(".ome")
    return image.with_name(f"{stem}-labels{'.zarr' if frames.is_large else '.tif'}")


def _prompts(arguments: argparse.Namespace) -> dict[int, Prompts]:
    """Give every option an object: those of the points first, then those of the boxes."""
    said = [Prompts(points=points) for points in arguments.points]
    said += [Prompts(boxes=[box]) for box in arguments.box]
    return dict(enumerate(said, start=1))


def _masks(
    session: Session, arguments: argparse.Namespace, prompts: Mapping[int, Prompts]
) -> dict[tuple[int, int], ObjectMask]:
    """Outline what is prompted or named on a frame, or all on it, by frame and object."""
    frame, text = arguments.frame, arguments.text
    if prompts:
        found = session.segment_many(frame, prompts)
        return {(frame, number): mask for number, mask in found.items()}
    candidates = session.everything(frame) if text is None else session.find(frame, text)
    chosen = choose(candidates, Selection())
    numbered = enumerate(chosen.positions.tolist(), start=1)
    return {(frame, number): _mask(chosen, position, number) for number, position in numbered}


def _mask(chosen: KeptCandidates, position: int, number: int) -> ObjectMask:
    """Make an object of a candidate."""
    (rows, cols), patch = chosen.crop(position)
    candidates = chosen.candidate_filter.candidates
    place = MaskPlace(rows.start, cols.start, candidates.shape)
    return ObjectMask(
        candidates.frame, number, patch, float(candidates.scores[position]), place=place
    )


def _numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    def numbers(text: str) -> tuple[float, ...]:
        values = tuple(float(number) for number in text.split(","))
        if len(values) != count:
            raise ValueError(text)
        return values

    numbers.__name__ = "ROW,COL" if count == 2 else "ROW,COL,ROW,COL"  # argparse shows it
    return numbers
