"""Command line of the training: make shards, train, write weights, evaluate them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from ..engine.engine import Engine
from .config import Config
from .data_preparation import make_shards
from .evaluation import measure
from .real.labelled_images import read_items
from .report import calibration_text, image_table
from .stages import stages
from .trainer import Trainer

LOG = logging.getLogger("napari_sam3.training")


def main(arguments: list[str]) -> None:
    """Run the training that the config files describe."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    config = Config.read(*map(Path, arguments))
    make_shards(config)
    path = config.start_weights
    for stage in stages(config):
        path = Trainer(config, stage, path).run()
        LOG.info("weights after the stage %s: %s", stage.name, path)
    if config.evaluation_images is not None and path is not None:
        tables = _evaluation(path, config.evaluation_images)
        LOG.info("on %s:\n%s", config.evaluation_images, tables)


def _evaluation(weights: Path, images: Path) -> str:
    """Return the scores of weights on images with ground truth, in Markdown."""
    engine = Engine.load(weights)
    results = [measure(engine, item) for item in read_items(images, None, [])]
    engine.close()
    return f"{image_table(results)}\n\n{calibration_text(results)}"


if __name__ == "__main__":
    main(sys.argv[1:])
