"""The command `napari-sam3`: each subcommand is a module with `add_arguments` and `run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "demo": "segment and track cells of a sample time-lapse",
    "segment": "outline objects of an image file",
    "encode": "encode the frames of an image file beforehand",
    "evaluate": "measure a model on images with ground truth",
    "benchmark": "measure speed and memory on this machine",
}
"""What each command does; its module has the same name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code."""
    options = _parser().parse_args(arguments)
    from ..values import Sam3Error  # numpy takes a moment to import, --help does not need it

    module = import_module(f"{__name__}.{options.command}")
    parser = argparse.ArgumentParser(
        prog=f"napari-sam3 {options.command}", description=module.__doc__
    )
    module.add_arguments(parser)
    try:
        return int(module.run(parser.parse_args(options.arguments)))
    except Sam3Error as error:
        sys.stderr.write(f"napari-sam3 {options.command}: {error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    from .. import __version__

    lines = [f"  {name:<11}{summary}" for name, summary in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="napari-sam3",
        description="Outline, track and measure cells.",
        epilog="commands:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=COMMANDS, metavar="command", help="see below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the command; try --help")
    return parser
