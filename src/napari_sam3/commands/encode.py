"""Let the model look at all frames of an image file, so that clicks on them are answered at once.

What is done is kept when the command ends, however it ends; the next one goes on from there.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from time import monotonic

from ..engine import Engine, Session, cache_folder, shared_engine
from ..io import OpenedImage, open_image
from ..values import StorageError

INTERRUPTED = 128 + signal.SIGINT
"""The exit code of a command that was ended with Ctrl-C."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("image", type=Path, help="a tif or OME-Zarr; a stack has its frames first")
    parser.add_argument(
        "--folder",
        type=Path,
        help="the session folder that keeps what was seen; default IMAGE.sam3",
    )
    parser.add_argument(
        "--for-napari",
        action="store_true",
        help="keep it where the dock looks, for the contrast that napari opens the image with",
    )
    parser.add_argument(
        "--frames", type=_frames, metavar="FIRST-LAST", help="such as 0-99; default all"
    )
    parser.add_argument(
        "--model", default="embedded", help="a name, folder or file; default embedded"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or mps; default auto")


def run(arguments: argparse.Namespace) -> int:
    """Encode the frames, and say on a line of its own how that goes."""
    with ExitStack() as opened:
        image = opened.enter_context(closing(open_image(arguments.image)))
        if arguments.for_napari:
            engine, session, place = _as_in_napari(image, arguments)
        else:
            engine, session, place = _in_folder(image, arguments)
        opened.callback(engine.close)
        opened.enter_context(closing(session))
        whole = range(len(session.frames))
        work = Work(engine, session, whole if arguments.frames is None else arguments.frames)
        is_whole = work.done_before_ctrl_c()
    if not is_whole:
        sys.stderr.write(
            f"{work.done} of {len(work.frames)} frames are in {place}; the same command goes on "
            "from there.\n"
        )
        return INTERRUPTED
    sys.stdout.write(f"{len(work.frames)} frames are ready in {place}\n")
    return 0


def _in_folder(image: OpenedImage, arguments: argparse.Namespace) -> tuple[Engine, Session, Path]:
    """Open an image with a folder of its own, as a script does that goes on from there."""
    folder = arguments.folder or arguments.image.with_suffix(".sam3")
    engine = Engine.load(arguments.model, device=arguments.device)
    return engine, engine.open(image.frames(), folder), folder


def _as_in_napari(
    image: OpenedImage, arguments: argparse.Namespace
) -> tuple[Engine, Session, Path]:
    """Open an image as the dock will see it, if its contrast is left as it is."""
    from ..layers import (
        contrast_of,  # napari takes a while to import
        layers_of,
    )

    engine = shared_engine(arguments.model, arguments.device)
    session = engine.open(image.frames(), contrast=contrast_of(layers_of(image)))
    return engine, session, cache_folder()


class Work:
    """Frames that are encoded one after the other.

    Parameters
    ----------
    engine : Engine
        The model.
    session : Session
        The stack, opened with a folder.
    frames : range
        Those of the stack that are wanted.
    """

    def __init__(self, engine: Engine, session: Session, frames: range) -> None:
        self.frames = frames
        self.done = 0
        self._engine = engine
        self._session = session

    def done_before_ctrl_c(self) -> bool:
        """Encode all frames; return whether that was not interrupted.

        Raises
        ------
        StorageError
            If they do not fit into the folder.
        """
        began = monotonic()
        try:
            with closing(self._session.encode(self.frames)) as frames:
                for self.done, _ in enumerate(frames, start=1):
                    self._check_free_space()
                    sys.stderr.write(f"\r{self._told(monotonic() - began):<60}")
        except KeyboardInterrupt:
            return False
        finally:
            sys.stderr.write("\n")
        return True

    def _told(self, seconds: float) -> str:
        left = seconds / self.done * (len(self.frames) - self.done)
        return f"{self.done} of {len(self.frames)} frames, {timedelta(seconds=round(left))} left"

    def _check_free_space(self) -> None:
        if self._engine.embeddings.warning:
            raise StorageError(self._engine.embeddings.warning)
        cost, room = self._session.prefetch.cost, self._session.prefetch.disk_quota
        if self.done > 1 or cost is None or cost.nbytes * len(self.frames) <= room:
            return
        fitting = room // cost.nbytes
        raise StorageError(
            f"{len(self.frames)} frames take {cost.nbytes * len(self.frames) / 1e6:.0f} MB, but "
            f"there is room for {room / 1e6:.0f} MB: encode {fitting} of them with --frames, make "
            "room on the disk, or allow more with NAPARI_SAM3_DISK."
        )


def _frames(text: str) -> range:
    first, _, last = text.partition("-")
    if int(last or first) < int(first):
        raise ValueError(text)
    return range(int(first), int(last or first) + 1)


_frames.__name__ = "FIRST-LAST"  # argparse shows it
