"""Everything a look may need to know about a scene, measured once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..label_images import boundaries
from .random_fields import Field, blurred, log_uniform, speckle, texture
from .scenes import Labels, Scene


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A scene with its distances, random brightnesses and textures; all fields are (H, W).

    Two frames of a movie are drawn from generators in the same state, so that every object keeps
    its brightness, and textures are looked up where the object was.
    """

    scene: Scene
    inside: Field
    """1 in objects, 0 elsewhere."""
    edge: Field
    """Distance to the nearest change of label, in pixels."""
    depth: Field
    """0 at the edge of an object, 1 where it is deepest."""
    level: Field
    """Brightness of the object, about 1; 0 outside."""
    nucleus: Field
    """Brightness of the nested object, about 1; 0 elsewhere."""
    grain: Field
    """Fine texture of zero mean and unit variance."""
    cloud: Field
    """Coarse texture of zero mean and unit variance."""
    wall: float
    """Half the thickness of membranes, in pixels."""

    @property
    def signed(self) -> Field:
        """Distance to the edge, negative inside objects."""
        return np.where(self.inside > 0, -self.edge, self.edge)

    @property
    def roundness(self) -> Field:
        """Height of an object as if it were a ball, 0..1."""
        return np.sqrt(np.clip(1 - (1 - self.depth) ** 2, 0, 1))

    @property
    def rim(self) -> Field:
        """1 at every boundary, falling off over the wall's thickness."""
        return np.asarray(np.exp(-((self.edge / self.wall) ** 2)), np.float32)

    def carried(self, field: Field) -> Field:
        """Take a random field along with the objects that moved."""
        return carried(field, self.scene)

    def spots(self, rng: np.random.Generator, most: float, radius: float) -> Field:
        """Scatter spots over the picture, 0..1."""
        count = int(log_uniform(rng, 5, most))
        return self.carried(speckle(rng, len(self.inside), count, radius))


def carried(field: Field, scene: Scene) -> Field:
    """Look `field` up where each pixel was on the frame before."""
    if scene.source is None:
        return field
    return np.asarray(ndimage.map_coordinates(field, scene.source, order=1, mode="nearest"))


def set_up(rng: np.random.Generator, scene: Scene) -> Stage:
    """Measure a scene and draw its brightnesses and textures."""
    size, labels = len(scene.labels), scene.labels
    edge = ndimage.distance_transform_edt(~boundaries(labels)).astype(np.float32)
    deepest = np.asarray(ndimage.maximum(edge, labels, np.arange(256)), np.float32)
    inside = (labels > 0).astype(np.float32)
    grain = texture(rng, size, rng.uniform(0.3, 2.6), coarsest=rng.uniform(0, 0.03))
    return Stage(
        scene=scene,
        inside=inside,
        edge=edge,
        depth=edge / np.maximum(deepest, 1)[labels] * inside,
        level=_brightness(rng, labels, rng.uniform(0, 0.55)),
        nucleus=_brightness(rng, scene.nested, rng.uniform(0, 0.25)),
        grain=carried(grain, scene),
        cloud=carried(texture(rng, size, rng.uniform(1.5, 3.2)), scene),
        wall=log_uniform(rng, 0.6, max(1.2, 0.18 * scene.radius)),
    )


def _brightness(rng: np.random.Generator, labels: Labels, spread: float) -> Field:
    level = np.exp(rng.normal(size=256) * spread)
    level[0] = 0
    return np.asarray(level[labels], np.float32)


Random = np.random.Generator


def fluorescence(rng: Random, stage: Stage) -> Field:
    """Show stained objects on a dark, hazy ground."""
    body = (
        np.ones_like(stage.depth),
        stage.roundness * rng.uniform(0.3, 1) + rng.uniform(0, 0.5),
        rng.uniform(0.4, 0.8) + rng.uniform(0.2, 1.2) * stage.rim,
    )[rng.choice(3, p=(0.45, 0.35, 0.2))]
    uneven = 1 + rng.uniform(0, 0.5) * stage.grain + rng.uniform(0, 0.3) * stage.cloud
    light = stage.level * body * np.clip(uneven, 0.05, 4)
    darker, brighter = rng.uniform(-0.2, 0.8), rng.uniform(0.4, 1.4)
    if stage.scene.nested.any():
        hollow = light * (1 - np.clip(stage.nucleus, 0, 1) * darker)
        filled = light * (1.05 - darker) + stage.nucleus * brighter
        light = hollow if brighter < 0.9 else filled
    spots = stage.spots(rng, 500, log_uniform(rng, 0.6, max(1, 0.12 * stage.scene.radius)))
    light = light * np.clip(1 + rng.choice((0, rng.uniform(-0.9, 1.6))) * spots, 0, None)
    light = light + log_uniform(rng, 0.01, 0.6) * (1 + rng.uniform(0, 0.35) * stage.cloud)
    return _hazy(rng, stage, light)


def _hazy(rng: Random, stage: Stage, light: Field) -> Field:
    """Add light from out of focus, of the objects themselves and of others."""
    haze = rng.choice((0, rng.uniform(0.05, 0.5)))
    light = light + haze * blurred(light, log_uniform(rng, 3, 0.8 * stage.scene.radius + 5))
    strength, shift = rng.choice((0, 0, rng.uniform(0.1, 0.5))), rng.integers(0, len(light), 2)
    others = np.roll(stage.level, shift, (0, 1))[::-1]
    return np.asarray(light + strength * blurred(others, rng.uniform(3, 10)), np.float32)


def ring(rng: Random, stage: Stage) -> Field:
    """Show bright outlines of single objects."""
    uneven = np.clip(1 + 0.4 * stage.cloud, 0.2, 3)
    light = stage.level * (rng.uniform(0, 0.6) + stage.rim * uneven)
    light = light + log_uniform(rng, 0.02, 0.5) * (1 + 0.2 * stage.cloud)
    return np.asarray(light + stage.nucleus * rng.uniform(0, 0.5), np.float32)


def membrane(rng: Random, stage: Stage) -> Field:
    """Show the walls of a tissue."""
    uneven = np.clip(1 + rng.uniform(0.1, 0.6) * stage.cloud, 0.03, 3)
    walls = stage.rim * uneven * np.where(stage.edge < 2 * stage.wall, 1, stage.inside * 0.8 + 0.2)
    filling = stage.level * rng.uniform(0, 0.35) * (1 + rng.uniform(0, 0.3) * stage.grain)
    light = walls + filling + log_uniform(rng, 0.02, 0.4)
    return np.asarray(light + stage.nucleus * rng.uniform(-0.15, 0.7), np.float32)


def electrons(rng: Random, stage: Stage) -> Field:
    """Show dark membranes, vesicles and striped organelles."""
    grey = 0.65 + 0.3 * (stage.level - 1) * rng.uniform(0, 0.6)
    grey = np.where(stage.inside > 0, grey, rng.uniform(0.2, 0.9))
    grey = grey + rng.uniform(0.03, 0.2) * stage.grain + rng.uniform(0, 0.1) * stage.cloud
    grey = grey - rng.uniform(0.15, 0.6) * stage.rim * np.clip(1 + 0.4 * stage.cloud, 0, 2)
    dots = stage.spots(rng, 400, log_uniform(rng, 0.7, 3)) * rng.choice((-1, 1), p=(0.7, 0.3))
    grey = grey + rng.uniform(0.05, 0.45) * dots * stage.inside
    grey = grey - _vesicles(rng, stage) * rng.choice((0, rng.uniform(0.1, 0.45)))
    return _with_organelles(rng, stage, np.asarray(grey, np.float32))


def _vesicles(rng: Random, stage: Stage) -> Field:
    """Small rings crowded in parts of the cells."""
    size = len(stage.inside)
    seeds = np.zeros((size, size), bool)
    row, col = rng.integers(0, size, (2, int(log_uniform(rng, 40, 900))))
    seeds[row, col] = texture(rng, size, 3)[row, col] > rng.uniform(-1, 1)
    seeds[0, 0] = True
    away = ndimage.distance_transform_edt(~seeds).astype(np.float32)
    radius = rng.uniform(1.5, max(2.5, 0.12 * stage.scene.radius))
    rings = np.exp(-(((away - radius) / 0.9) ** 2)).astype(np.float32)
    return stage.carried(rings) * (stage.inside * (stage.edge > 1.5))


def _with_organelles(rng: Random, stage: Stage, grey: Field) -> Field:
    row, col = np.indices(grey.shape)
    waves = col * rng.uniform(0.2, 1) + row * rng.uniform(-1, 1)
    stripes = np.sin(stage.carried(np.asarray(waves, np.float32)) + stage.cloud * 3)
    darker, shift = rng.uniform(0, 0.4), rng.uniform(-0.2, 0.1)
    wall, strength = rng.uniform(0.9, 1.8), rng.uniform(0.05, 0.4)
    if not stage.scene.nested.any():
        return grey
    organelle = grey * (1 - darker) + shift + 0.08 * stripes
    grey = np.where(stage.scene.nested > 0, organelle, grey)
    edge = ndimage.distance_transform_edt(~boundaries(stage.scene.nested))
    return np.asarray(grey - strength * np.exp(-((edge / wall) ** 2)), np.float32)


def phase(rng: Random, stage: Stage) -> Field:
    """Show thick objects dark, or bright, in a halo."""
    height = stage.level * (stage.roundness * rng.uniform(0.3, 1) + rng.uniform(0.1, 0.8))
    height = height * (1 + rng.uniform(0, 0.5) * stage.grain) + stage.nucleus * rng.uniform(
        -0.3, 0.6
    )
    height = blurred(height.astype(np.float32), rng.uniform(0.3, 1.2))
    reach = log_uniform(rng, 2.5, max(5, 4 * stage.scene.radius))
    sign = rng.choice((1, -1), p=(0.75, 0.25))
    grey = -sign * (height - rng.uniform(0.5, 1.1) * blurred(height, reach))
    grey = grey + rng.uniform(0.02, 0.12) * stage.cloud + rng.uniform(0, 0.06) * stage.grain
    halo = np.exp(-((np.maximum(stage.signed, 0) / log_uniform(rng, 1, 6)) ** 2))
    strength = rng.choice((0, rng.uniform(0.2, 0.9)), p=(0.55, 0.45)) * height.mean() * 2
    return np.asarray(grey + strength * halo * (1 - stage.inside), np.float32)


def crowded_phase(rng: Random, stage: Stage) -> Field:
    """Show a thick crowd of dark bodies whose halos wash each other out."""
    even = 1 + (stage.level - 1) * rng.uniform(0, 0.3)
    body = stage.inside * even * (rng.uniform(0.4, 1) + stage.roundness * rng.uniform(0, 0.6))
    body = blurred((body * (1 + 0.1 * stage.grain)).astype(np.float32), rng.uniform(0.4, 1.4))
    reach = stage.scene.radius * log_uniform(rng, 1, 6)
    halo = blurred(body, reach) * rng.uniform(0.4, 1.3)
    gaps = blurred((1 - stage.inside) * (stage.edge < 3), 0.8) * rng.uniform(0, 0.5) * halo
    grey = halo - body + gaps + rng.uniform(0.01, 0.08) * stage.cloud
    return np.asarray(grey + rng.uniform(0, 0.04) * stage.grain, np.float32)


def packed_phase(rng: Random, stage: Stage) -> Field:
    """Show cells that touch, darkest along their middle; light comes through where gaps are."""
    radius = stage.scene.radius
    even = 1 + (stage.level - 1) * rng.uniform(0, 0.3)
    rounded = 1 - rng.uniform(0.2, 0.9) * (1 - stage.depth ** rng.uniform(0.3, 1.2))
    body = blurred(
        (stage.inside * even * rounded).astype(np.float32), radius * rng.uniform(0.05, 0.25)
    )
    crowd = blurred(stage.inside, radius * log_uniform(rng, 1.5, 5))
    light = blurred((1 - stage.inside) * crowd, 0.6) * rng.uniform(0.1, 1.2)
    grey = crowd * rng.uniform(0, 0.6) + light - body + rng.uniform(0.005, 0.05) * stage.cloud
    return np.asarray(grey + rng.uniform(0, 0.03) * stage.grain, np.float32)


def adherent_phase(rng: Random, stage: Stage) -> Field:
    """Show flat cells, hardly unlike their ground, with bright edges and grainy insides."""
    away = np.maximum(stage.signed, 0)
    halo = np.exp(-((away / log_uniform(rng, 1.5, 6)) ** 2)) * rng.uniform(0.2, 1.2)
    inner = stage.rim * rng.uniform(-0.7, 0.5) * stage.inside
    body = stage.inside * rng.uniform(-0.4, 0.3) * stage.level
    knobs = stage.spots(rng, 900, rng.uniform(0.6, 1.8)) * stage.inside * rng.uniform(-1, 1)
    rough = stage.grain * (0.05 + rng.uniform(0, 0.35) * stage.inside)
    grey = halo * (1 - stage.inside) + inner + body + knobs + rough + 0.08 * stage.cloud
    return np.asarray(grey + stage.nucleus * rng.uniform(-0.3, 0.4), np.float32)


def brightfield(rng: Random, stage: Stage) -> Field:
    """Show transparent objects by the fringes at their edges."""
    fringe = log_uniform(rng, 2, max(4, 0.35 * stage.scene.radius))
    waves = np.cos(stage.signed / fringe * rng.uniform(1, 2.5) + rng.uniform(0, 6.3))
    grey = waves * np.exp(-np.abs(stage.signed - rng.uniform(-2, 1)) / fringe)
    grey = grey * rng.uniform(0.3, 1)
    body = (stage.level - 1 + rng.uniform(-0.5, 0.5)) * rng.uniform(0, 0.5)
    grey = grey + stage.inside * (body + rng.uniform(0, 0.35) * stage.grain)
    grey = grey + rng.uniform(0.02, 0.2) * stage.cloud
    return np.asarray(grey + stage.nucleus * rng.uniform(-0.35, 0.35), np.float32)


def interference(rng: Random, stage: Stage) -> Field:
    """Show slopes, lit from one side."""
    height = stage.level * (stage.roundness + 0.2) * (1 + rng.uniform(0, 0.4) * stage.grain)
    height = height + rng.uniform(0, 0.3) * stage.cloud * (0.3 + stage.inside)
    height = height + stage.nucleus * rng.uniform(-0.3, 0.6)
    rows, cols = np.gradient(blurred(height.astype(np.float32), rng.uniform(0.7, 2)))
    angle = rng.uniform(0, 6.3)
    slope = rows * np.sin(angle) + cols * np.cos(angle)
    slope = slope / (slope.std() + 1e-6)
    grey = slope + rng.uniform(0, 0.2) * stage.grain
    return np.asarray(grey + stage.inside * rng.uniform(-0.3, 0.3), np.float32)


def textured(rng: Random, stage: Stage) -> Field:
    """Show objects that differ from their ground in texture alone."""
    size = len(stage.inside)
    body = texture(rng, size, rng.uniform(0, 1.2), coarsest=0.05) * rng.uniform(0.3, 1)
    ground = texture(rng, size, rng.uniform(1.2, 3)) * rng.uniform(0.05, 0.4)
    body = stage.carried(body) + rng.uniform(-0.4, 0.4)
    return np.asarray(np.where(stage.inside > 0, body, ground), np.float32)


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
    first = (fluorescence, membrane, ring)[rng.integers(3)](rng, stage)
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
