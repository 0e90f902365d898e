"""Command line: make data, train, write weights, measure them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from .config import Config
from .data_preparation import fill
from .evaluation import measured
from .stages import stages
from .trainer import Trainer

LOG = logging.getLogger("napari_sam3.training")


def main(arguments: list[str]) -> None:
    """Run the training that the config files describe."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    config = Config.read(*map(Path, arguments))
    fill(config)
    path = config.start
    for stage in stages(config):
        path = Trainer(config, stage, path).run()
        LOG.info("weights after learning %s: %s", stage.name, path)
    if config.measure is not None and path is not None:
        LOG.info("on %s:\n%s", config.measure, measured(path, config.measure))


if __name__ == "__main__":
    main(sys.argv[1:])
