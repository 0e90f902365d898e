"""Outline objects of an image file; without points and boxes, everything on the frame."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from .engine import Engine, ObjectMask, Prompts, Session
from .io import Measurements, paint, read_image, write_labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("image", type=Path, help="a tif, png or jpg; a stack has its frames first")
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
    parser.add_argument("--frame", type=int, default=0, help="where the prompts are; default 0")
    parser.add_argument(
        "--propagate", action="store_true", help="follow the objects through the whole stack"
    )
    parser.add_argument("-o", "--output", type=Path, help="a tif; default IMAGE-labels.tif")
    parser.add_argument("--table", type=Path, help="score, area and position of every mask, csv")
    parser.add_argument(
        "--model", default="embedded", help="a name, folder or file; default embedded"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or mps; default auto")


def run(arguments: argparse.Namespace) -> int:
    """Segment the file and write labels, and a table where one is asked for."""
    image = read_image(arguments.image)
    output = arguments.output or arguments.image.with_name(f"{arguments.image.stem}-labels.tif")
    session = Engine.load(arguments.model, device=arguments.device).open(image)
    masks = _masks(session, arguments.frame, _prompts(arguments))
    followed = session.propagate(masks) if arguments.propagate and masks else masks.values()
    labels = np.zeros((len(session.frames), *session.frames.shape), np.uint16)
    table = Measurements(arguments.table) if arguments.table else None
    for mask in followed:
        paint(labels, mask)
        if table is not None:
            table.add(mask)
    session.close()
    write_labels(output, labels[0] if len(labels) == 1 else labels)
    sys.stdout.write(f"{len(masks)} objects, labels in {output}\n")
    return 0


def _prompts(arguments: argparse.Namespace) -> dict[int, Prompts]:
    """Give every option an object: those of the points first, then those of the boxes."""
    said = [Prompts(points=points) for points in arguments.points]
    said += [Prompts(boxes=[box]) for box in arguments.box]
    return dict(enumerate(said, start=1))


def _masks(
    session: Session, frame: int, prompts: Mapping[int, Prompts]
) -> dict[tuple[int, int], ObjectMask]:
    """Outline what is prompted on a frame, or all that is on it, by frame and object."""
    if prompts:
        found = session.segment_many(frame, prompts)
        return {(frame, number): mask for number, mask in found.items()}
    candidates = session.everything(frame)
    labels = candidates.labels()
    values = np.unique(labels[labels > 0]).tolist()
    return {
        (frame, number): ObjectMask(frame, number, labels == value, candidates.scores[value - 1])
        for number, value in enumerate(values, start=1)
    }


def _numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    def numbers(text: str) -> tuple[float, ...]:
        values = tuple(float(number) for number in text.split(","))
        if len(values) != count:
            raise ValueError(text)
        return values

    numbers.__name__ = "ROW,COL" if count == 2 else "ROW,COL,ROW,COL"  # argparse shows it
    return numbers
