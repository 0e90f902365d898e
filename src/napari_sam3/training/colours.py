"""Coloured looks: stained sections, blood smears and fluorescence in several colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_sam3.training import looks
from napari_sam3.training.noise import Field, blurred
from napari_sam3.training.stage import Stage

Random = np.random.Generator
Picture = npt.NDArray[np.float32]
"""(3, H, W) red, green and blue."""

Stain = tuple[tuple[float, float, float], npt.NDArray[np.floating]]
"""Absorbance of red, green and blue, and (H, W) how much of the stain there is."""

HAEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.07, 0.99, 0.11)
BROWN = (0.27, 0.57, 0.78)
GIEMSA = (0.55, 0.80, 0.20)
HAEMOGLOBIN = (0.10, 0.45, 0.60)


def _absorbed(rng: Random, stains: Sequence[Stain]) -> Picture:
    """Shine light through stains of the given absorbance per channel."""
    light = rng.uniform(0.85, 1.0, (3, 1, 1)) * np.ones((1, *stains[0][1].shape))
    for colour, amount in stains:
        shade = np.array(colour) * np.exp(rng.normal(size=3) * 0.15)
        light = light * np.exp(-np.clip(amount, 0, None) * shade[:, None, None])
    return np.asarray(light, np.float32)


def section(rng: Random, stage: Stage) -> Picture:
    """Show nuclei blue to violet in a pink tissue."""
    nuclei = _nuclei(stage) * rng.uniform(0.6, 2) * (1 + rng.uniform(0.05, 0.5) * stage.grain)
    hollow = 1 - rng.uniform(0, 0.5) * np.clip(stage.depth, 0, 1)
    fibres = np.clip(0.5 + rng.uniform(0.1, 0.5) * stage.cloud, 0.02, 2)
    ground = fibres * rng.uniform(0.15, 0.9) + stage.inside * rng.uniform(-0.1, 0.3)
    gaps = np.clip(stage.carried(stage.cloud[::-1]) - rng.uniform(0.5, 2.5), 0, 1)
    ground = ground * (1 - gaps) + stage.rim * rng.uniform(-0.2, 0.3)
    bluish = ground * rng.uniform(0, 0.35)
    return _absorbed(rng, [(HAEMATOXYLIN, nuclei * hollow + bluish), (EOSIN, ground)])


def labelled_section(rng: Random, stage: Stage) -> Picture:
    """Show nuclei brown or blue, by an antibody."""
    brown = (np.round(stage.level * 997 + stage.nucleus * 613) % 10) < rng.uniform(0, 10)
    nuclei = _nuclei(stage) * rng.uniform(0.5, 1.6) * (1 + rng.uniform(0.05, 0.4) * stage.grain)
    ground = np.clip(0.15 + 0.1 * stage.cloud, 0, 1) * rng.uniform(0, 1)
    blue = nuclei * ~brown + ground
    return _absorbed(rng, [(HAEMATOXYLIN, blue), (BROWN, nuclei * brown * rng.uniform(0.7, 2))])


def _nuclei(stage: Stage) -> Field:
    return stage.nucleus if stage.scene.nested.any() else stage.level


def smear(rng: Random, stage: Stage) -> Picture:
    """Show pale red cells, and white ones with a violet nucleus in a light plasma."""
    nucleated = np.unique(stage.scene.labels[stage.scene.nested > 0])
    white = np.isin(stage.scene.labels, nucleated[nucleated > 0])
    pallor = 1 - rng.uniform(0, 0.8) * np.clip(stage.depth * 1.3 - 0.3, 0, 1)
    red = stage.level * pallor * ~white * rng.uniform(0.4, 1.2)
    granules = 1 + rng.uniform(0, 0.6) * stage.grain
    plasma = stage.inside * white * granules * rng.uniform(0.05, 0.6)
    nuclei = stage.nucleus * rng.uniform(0.9, 2.2) * (1 + rng.uniform(0.05, 0.3) * stage.grain)
    ground = np.clip(0.04 + 0.02 * stage.cloud, 0, 1)
    return _absorbed(
        rng, [(HAEMOGLOBIN, red + ground), (GIEMSA, nuclei + plasma * rng.uniform(0.3, 1))]
    )


def channels(rng: Random, stage: Stage) -> Picture:
    """Show cells in one colour and their nuclei, or other marks, in another."""
    first = (looks.fluorescence, looks.membrane, looks.ring)[rng.integers(3)](rng, stage)
    spots = stage.spots(rng, 400, rng.uniform(0.8, 3)) * (0.2 + stage.inside)
    nuclei = blurred(stage.nucleus, rng.uniform(0.3, 1.5)) * (1 + 0.3 * stage.grain)
    second = nuclei if stage.scene.nested.any() else spots * 1.5
    colours = _two_colours(rng)
    picture = colours[0][:, None, None] * first + colours[1][:, None, None] * second
    return np.asarray(picture, np.float32)


def tinted(rng: Random, grey: Field) -> Picture:
    """Show a grey picture through a single-colour look-up table."""
    return np.asarray(_two_colours(rng)[0][:, None, None] * grey, np.float32)


def _two_colours(rng: Random) -> npt.NDArray[np.floating]:
    """Two different ones of the usual colours, (2, 3)."""
    usual = np.array(
        [[1, 0, 0], [0, 1, 0], [0.15, 0.25, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1]]
    )
    return np.asarray(usual[rng.choice(len(usual), 2, replace=False)])
