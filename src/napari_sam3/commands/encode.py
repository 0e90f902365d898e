"""Encode all frames of an image file, so that clicks on them show a mask at once.

Embeddings are kept when the command ends, however it ends; the next run continues from there.
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
"""The exit code of a command that is ended with Ctrl-C."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("image", type=Path, help="a tif or OME-Zarr; a stack has its frames first")
    parser.add_argument(
        "--folder",
        type=Path,
        help="the session folder that keeps the embeddings; default IMAGE.sam3",
    )
    parser.add_argument(
        "--for-napari",
        action="store_true",
        help="keep them in the cache of the dock, with the contrast that napari gives the image",
    )
    parser.add_argument(
        "--frames", type=_frames, metavar="FIRST-LAST", help="such as 0-99; default all"
    )
    parser.add_argument(
        "--model", default="embedded", help="a name, folder or file; default embedded"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or mps; default auto")


def run(arguments: argparse.Namespace) -> int:
    """Encode the frames, and report the progress on standard error."""
    with ExitStack() as opened:
        image = opened.enter_context(closing(open_image(arguments.image)))
        if arguments.for_napari:
            engine, session, folder = _in_shared_cache(image, arguments)
        else:
            engine, session, folder = _in_folder(image, arguments)
        opened.callback(engine.close)
        opened.enter_context(closing(session))
        frames = arguments.frames or range(len(session.frames))
        encoding = EncodingRun(engine, session, frames)
        is_complete = encoding.encode_frames()
    if not is_complete:
        sys.stderr.write(
            f"{encoding.done} of {len(encoding.frames)} frames are in {folder}; the same command "
            "continues from there.\n"
        )
        return INTERRUPTED
    sys.stdout.write(f"{len(encoding.frames)} frames are ready in {folder}\n")
    return 0


def _in_folder(image: OpenedImage, arguments: argparse.Namespace) -> tuple[Engine, Session, Path]:
    """Open an image with a session folder of its own, as a script does."""
    folder = arguments.folder or arguments.image.with_suffix(".sam3")
    engine = Engine.load(arguments.model, device=arguments.device)
    return engine, engine.open(image.frames(), folder), folder


def _in_shared_cache(
    image: OpenedImage, arguments: argparse.Namespace
) -> tuple[Engine, Session, Path]:
    """Open an image as the dock does while its contrast is not changed."""
    from ..layers import contrast_of, layers_of  # napari takes a while to import

    engine = shared_engine(arguments.model, arguments.device)
    session = engine.open(image.frames(), contrast=contrast_of(layers_of(image)))
    return engine, session, cache_folder()


class EncodingRun:
    """Encodes the frames of a stack in turn.

    Parameters
    ----------
    engine : Engine
        The model.
    session : Session
        The stack, opened with a folder.
    frames : range
        The frames to encode.
    """

    def __init__(self, engine: Engine, session: Session, frames: range) -> None:
        self.frames = frames
        self.done = 0
        self._engine = engine
        self._session = session

    def encode_frames(self) -> bool:
        """Encode all frames; return False if Ctrl-C ends it before.

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
                    sys.stderr.write(f"\r{self._progress_line(monotonic() - began):<60}")
        except KeyboardInterrupt:
            return False
        finally:
            sys.stderr.write("\n")
        return True

    def _progress_line(self, seconds: float) -> str:
        left = seconds / self.done * (len(self.frames) - self.done)
        return f"{self.done} of {len(self.frames)} frames, {timedelta(seconds=round(left))} left"

    def _check_free_space(self) -> None:
        if self._engine.embeddings.warning:
            raise StorageError(self._engine.embeddings.warning)
        cost, quota = self._session.prefetch.cost, self._session.prefetch.disk_quota
        if self.done > 1 or cost is None or cost.nbytes * len(self.frames) <= quota:
            return
        fitting = quota // cost.nbytes
        raise StorageError(
            f"{len(self.frames)} frames take {cost.nbytes * len(self.frames) / 1e6:.0f} MB, but "
            f"only {quota / 1e6:.0f} MB are free: encode {fitting} of them with --frames, free "
            "space on the disk, or allow more with NAPARI_SAM3_DISK."
        )


def _frames(text: str) -> range:
    first, _, last = text.partition("-")
    if int(last or first) < int(first):
        raise ValueError(text)
    return range(int(first), int(last or first) + 1)


_frames.__name__ = "FIRST-LAST"  # argparse shows it
