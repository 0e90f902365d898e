"""Outline objects of an image file: at points, in boxes, by a text, or everything."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ..engine import Clip, Engine, Frames, Selection, Session, filter_candidates
from ..io import LabelFile, Measurements, open_image
from ..values import Mask, Prompts


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
    parser.add_argument("--text", help='all objects to find, as in "nucleus, not debris"')
    parser.add_argument(
        "--clip", help="a text model for models that read no text: a folder, or a name on the hub"
    )
    parser.add_argument("--frame", type=int, default=0, help="the frame of the prompts; default 0")
    parser.add_argument(
        "--propagate", action="store_true", help="propagate the objects through the whole stack"
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
    """Segment the file and write labels, and a table on request."""
    with closing(open_image(arguments.image)) as image:
        frames = image.frames()
        output = arguments.output or _output(arguments.image, frames)
        session = _engine(arguments).open(frames)
        masks = _masks(session, arguments, _prompts(arguments))
        is_propagated = arguments.propagate and masks
        results = session.propagate(masks) if is_propagated else masks.values()
        table = Measurements(arguments.table) if arguments.table else None
        highest = max((number for _, number in masks), default=0)
        shape = (len(frames), *frames.shape)
        with LabelFile(output, shape, highest, image.geometry) as labels:
            for mask in results:
                labels.paint(mask)
                if table is not None:
                    table.add(mask)
        session.close()
    sys.stdout.write(f"{len(masks)} objects, labels in {output}\n")
    return 0


def _engine(arguments: argparse.Namespace) -> Engine:
    """Load the model, and a text model if it is named."""
    engine = Engine.load(arguments.model, device=arguments.device)
    if arguments.clip:
        engine.read_texts_with(Clip.load(arguments.clip, arguments.device))
    if remark := engine.remark(arguments.text or ""):
        sys.stderr.write(f"{remark}\n")
    return engine


def _output(image: Path, frames: Frames) -> Path:
    """Name the labels of an image: OME-Zarr if it is large, else a TIFF."""
    name = image.name.removesuffix(".zarr").removesuffix(".ome")
    stem = name if image.name.endswith(".zarr") else image.stem.removesuffix(".ome")
    return image.with_name(f"{stem}-labels{'.zarr' if frames.is_large else '.tif'}")


def _prompts(arguments: argparse.Namespace) -> dict[int, Prompts]:
    """Return the prompts of every object: first those with points, then those with boxes."""
    prompts = [Prompts(points=points) for points in arguments.points]
    prompts += [Prompts(boxes=[box]) for box in arguments.box]
    return dict(enumerate(prompts, start=1))


def _masks(
    session: Session, arguments: argparse.Namespace, prompts: Mapping[int, Prompts]
) -> dict[tuple[int, int], Mask]:
    """Return the masks of all prompted or detected objects of a frame, by frame and object."""
    frame, text = arguments.frame, arguments.text
    if prompts:
        masks = session.segment_many(frame, prompts)
        return {(frame, object_id): mask for object_id, mask in masks.items()}
    candidates = session.everything(frame) if text is None else session.find(frame, text)
    kept = filter_candidates(candidates, Selection())
    numbered = enumerate(kept.positions.tolist(), start=1)
    return {
        (frame, object_id): replace(kept.mask(position), object_id=object_id)
        for object_id, position in numbered
    }


def _numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    """Return a parser of so many numbers between commas."""

    def numbers(text: str) -> tuple[float, ...]:
        values = tuple(float(number) for number in text.split(","))
        if len(values) != count:
            raise ValueError(text)
        return values

    numbers.__name__ = "ROW,COL" if count == 2 else "ROW,COL,ROW,COL"  # argparse shows it
    return numbers
