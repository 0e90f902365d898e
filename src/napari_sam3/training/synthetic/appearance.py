"""How scenes appear under the microscope: a function for each modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..label_images import Labels, boundaries
from .random_fields import Field, Random, blurred, log_uniform, speckle, texture
from .scenes import Scene

RgbImage = npt.NDArray[np.float32]
"""(3, H, W) red, green and blue."""

Stain = tuple[tuple[float, float, float], npt.NDArray[np.floating]]
"""Absorbance of red, green and blue, and (H, W) the amount of stain."""

HAEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.07, 0.99, 0.11)
BROWN = (0.27, 0.57, 0.78)
GIEMSA = (0.55, 0.80, 0.20)
HAEMOGLOBIN = (0.10, 0.45, 0.60)


@dataclass(frozen=True, slots=True, eq=False)
class SceneFields:
    """A scene with its distances, random brightnesses and textures; all fields are (H, W).

    Two frames of a movie are drawn from generators in the same state, so that every object keeps
    its brightness, and textures move along with the objects.
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
    def signed_distance(self) -> Field:
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

    def warped(self, field: Field) -> Field:
        """Move a random field along with the objects."""
        return warped(field, self.scene)

    def spots(self, rng: Random, most: float, radius: float) -> Field:
        """Scatter spots over the image, 0..1."""
        count = int(log_uniform(rng, 5, most))
        return self.warped(speckle(rng, len(self.inside), count, radius))


def warped(field: Field, scene: Scene) -> Field:
    """Take the values of a field from where each pixel was on the previous frame."""
    if scene.source is None:
        return field
    return np.asarray(ndimage.map_coordinates(field, scene.source, order=1, mode="nearest"))


def scene_fields(rng: Random, scene: Scene) -> SceneFields:
    """Measure a scene and draw its brightnesses and textures."""
    size, labels = len(scene.labels), scene.labels
    edge = ndimage.distance_transform_edt(~boundaries(labels)).astype(np.float32)
    deepest = np.asarray(ndimage.maximum(edge, labels, np.arange(256)), np.float32)
    inside = (labels > 0).astype(np.float32)
    grain = texture(rng, size, rng.uniform(0.3, 2.6), coarsest=rng.uniform(0, 0.03))
    return SceneFields(
        scene=scene,
        inside=inside,
        edge=edge,
        depth=edge / np.maximum(deepest, 1)[labels] * inside,
        level=_brightness(rng, labels, rng.uniform(0, 0.55)),
        nucleus=_brightness(rng, scene.nested, rng.uniform(0, 0.25)),
        grain=warped(grain, scene),
        cloud=warped(texture(rng, size, rng.uniform(1.5, 3.2)), scene),
        wall=log_uniform(rng, 0.6, max(1.2, 0.18 * scene.radius)),
    )


def _brightness(rng: Random, labels: Labels, sigma: float) -> Field:
    level = np.exp(rng.normal(size=256) * sigma)
    level[0] = 0
    return np.asarray(level[labels], np.float32)


def fluorescence(rng: Random, fields: SceneFields) -> Field:
    """Show stained objects on a dark, hazy ground."""
    body = (
        np.ones_like(fields.depth),
        fields.roundness * rng.uniform(0.3, 1) + rng.uniform(0, 0.5),
        rng.uniform(0.4, 0.8) + rng.uniform(0.2, 1.2) * fields.rim,
    )[rng.choice(3, p=(0.45, 0.35, 0.2))]
    uneven = 1 + rng.uniform(0, 0.5) * fields.grain + rng.uniform(0, 0.3) * fields.cloud
    light = fields.level * body * np.clip(uneven, 0.05, 4)
    darker, brighter = rng.uniform(-0.2, 0.8), rng.uniform(0.4, 1.4)
    if fields.scene.nested.any():
        hollow = light * (1 - np.clip(fields.nucleus, 0, 1) * darker)
        filled = light * (1.05 - darker) + fields.nucleus * brighter
        light = hollow if brighter < 0.9 else filled
    spots = fields.spots(rng, 500, log_uniform(rng, 0.6, max(1, 0.12 * fields.scene.radius)))
    light = light * np.clip(1 + rng.choice((0, rng.uniform(-0.9, 1.6))) * spots, 0, None)
    light = light + log_uniform(rng, 0.01, 0.6) * (1 + rng.uniform(0, 0.35) * fields.cloud)
    return _add_haze(rng, fields, light)


def _add_haze(rng: Random, fields: SceneFields, light: Field) -> Field:
    """Add light from out of focus, of the objects and of invented neighbours."""
    haze = rng.choice((0, rng.uniform(0.05, 0.5)))
    light = light + haze * blurred(light, log_uniform(rng, 3, 0.8 * fields.scene.radius + 5))
    strength, shift = rng.choice((0, 0, rng.uniform(0.1, 0.5))), rng.integers(0, len(light), 2)
    neighbours = np.roll(fields.level, shift, (0, 1))[::-1]
    return np.asarray(light + strength * blurred(neighbours, rng.uniform(3, 10)), np.float32)


def ring(rng: Random, fields: SceneFields) -> Field:
    """Show bright outlines of single objects."""
    uneven = np.clip(1 + 0.4 * fields.cloud, 0.2, 3)
    light = fields.level * (rng.uniform(0, 0.6) + fields.rim * uneven)
    light = light + log_uniform(rng, 0.02, 0.5) * (1 + 0.2 * fields.cloud)
    return np.asarray(light + fields.nucleus * rng.uniform(0, 0.5), np.float32)


def membrane(rng: Random, fields: SceneFields) -> Field:
    """Show the walls of a tissue."""
    uneven = np.clip(1 + rng.uniform(0.1, 0.6) * fields.cloud, 0.03, 3)
    walls = (
        fields.rim * uneven * np.where(fields.edge < 2 * fields.wall, 1, fields.inside * 0.8 + 0.2)
    )
    filling = fields.level * rng.uniform(0, 0.35) * (1 + rng.uniform(0, 0.3) * fields.grain)
    light = walls + filling + log_uniform(rng, 0.02, 0.4)
    return np.asarray(light + fields.nucleus * rng.uniform(-0.15, 0.7), np.float32)


def electrons(rng: Random, fields: SceneFields) -> Field:
    """Show dark membranes, vesicles and striped organelles."""
    grey = 0.65 + 0.3 * (fields.level - 1) * rng.uniform(0, 0.6)
    grey = np.where(fields.inside > 0, grey, rng.uniform(0.2, 0.9))
    grey = grey + rng.uniform(0.03, 0.2) * fields.grain + rng.uniform(0, 0.1) * fields.cloud
    grey = grey - rng.uniform(0.15, 0.6) * fields.rim * np.clip(1 + 0.4 * fields.cloud, 0, 2)
    dots = fields.spots(rng, 400, log_uniform(rng, 0.7, 3)) * rng.choice((-1, 1), p=(0.7, 0.3))
    grey = grey + rng.uniform(0.05, 0.45) * dots * fields.inside
    grey = grey - _vesicles(rng, fields) * rng.choice((0, rng.uniform(0.1, 0.45)))
    return _add_organelles(rng, fields, np.asarray(grey, np.float32))


def _vesicles(rng: Random, fields: SceneFields) -> Field:
    """Small rings crowded in parts of the cells."""
    size = len(fields.inside)
    centres = np.zeros((size, size), bool)
    row, col = rng.integers(0, size, (2, int(log_uniform(rng, 40, 900))))
    centres[row, col] = texture(rng, size, 3)[row, col] > rng.uniform(-1, 1)
    centres[0, 0] = True
    away = ndimage.distance_transform_edt(~centres).astype(np.float32)
    radius = rng.uniform(1.5, max(2.5, 0.12 * fields.scene.radius))
    rings = np.exp(-(((away - radius) / 0.9) ** 2)).astype(np.float32)
    return fields.warped(rings) * (fields.inside * (fields.edge > 1.5))


def _add_organelles(rng: Random, fields: SceneFields, grey: Field) -> Field:
    row, col = np.indices(grey.shape)
    ramp = col * rng.uniform(0.2, 1) + row * rng.uniform(-1, 1)
    stripes = np.sin(fields.warped(np.asarray(ramp, np.float32)) + fields.cloud * 3)
    darker, shift = rng.uniform(0, 0.4), rng.uniform(-0.2, 0.1)
    wall, strength = rng.uniform(0.9, 1.8), rng.uniform(0.05, 0.4)
    if not fields.scene.nested.any():
        return grey
    organelle = grey * (1 - darker) + shift + 0.08 * stripes
    grey = np.where(fields.scene.nested > 0, organelle, grey)
    edge = ndimage.distance_transform_edt(~boundaries(fields.scene.nested))
    return np.asarray(grey - strength * np.exp(-((edge / wall) ** 2)), np.float32)


def phase(rng: Random, fields: SceneFields) -> Field:
    """Show thick objects dark, or bright, in a halo."""
    height = fields.level * (fields.roundness * rng.uniform(0.3, 1) + rng.uniform(0.1, 0.8))
    height = height * (1 + rng.uniform(0, 0.5) * fields.grain) + fields.nucleus * rng.uniform(
        -0.3, 0.6
    )
    height = blurred(height.astype(np.float32), rng.uniform(0.3, 1.2))
    reach = log_uniform(rng, 2.5, max(5, 4 * fields.scene.radius))
    polarity = rng.choice((1, -1), p=(0.75, 0.25))
    grey = -polarity * (height - rng.uniform(0.5, 1.1) * blurred(height, reach))
    grey = grey + rng.uniform(0.02, 0.12) * fields.cloud + rng.uniform(0, 0.06) * fields.grain
    halo = np.exp(-((np.maximum(fields.signed_distance, 0) / log_uniform(rng, 1, 6)) ** 2))
    strength = rng.choice((0, rng.uniform(0.2, 0.9)), p=(0.55, 0.45)) * height.mean() * 2
    return np.asarray(grey + strength * halo * (1 - fields.inside), np.float32)


def crowded_phase(rng: Random, fields: SceneFields) -> Field:
    """Show a thick crowd of dark bodies whose halos wash each other out."""
    even = 1 + (fields.level - 1) * rng.uniform(0, 0.3)
    body = fields.inside * even * (rng.uniform(0.4, 1) + fields.roundness * rng.uniform(0, 0.6))
    body = blurred((body * (1 + 0.1 * fields.grain)).astype(np.float32), rng.uniform(0.4, 1.4))
    reach = fields.scene.radius * log_uniform(rng, 1, 6)
    halo = blurred(body, reach) * rng.uniform(0.4, 1.3)
    gaps = blurred((1 - fields.inside) * (fields.edge < 3), 0.8) * rng.uniform(0, 0.5) * halo
    grey = halo - body + gaps + rng.uniform(0.01, 0.08) * fields.cloud
    return np.asarray(grey + rng.uniform(0, 0.04) * fields.grain, np.float32)


def packed_phase(rng: Random, fields: SceneFields) -> Field:
    """Show cells that touch, darkest along their middle; light comes through where gaps are."""
    radius = fields.scene.radius
    even = 1 + (fields.level - 1) * rng.uniform(0, 0.3)
    rounded = 1 - rng.uniform(0.2, 0.9) * (1 - fields.depth ** rng.uniform(0.3, 1.2))
    body = blurred(
        (fields.inside * even * rounded).astype(np.float32), radius * rng.uniform(0.05, 0.25)
    )
    crowd = blurred(fields.inside, radius * log_uniform(rng, 1.5, 5))
    light = blurred((1 - fields.inside) * crowd, 0.6) * rng.uniform(0.1, 1.2)
    grey = crowd * rng.uniform(0, 0.6) + light - body + rng.uniform(0.005, 0.05) * fields.cloud
    return np.asarray(grey + rng.uniform(0, 0.03) * fields.grain, np.float32)


def adherent_phase(rng: Random, fields: SceneFields) -> Field:
    """Show flat cells, hardly unlike their ground, with bright edges and grainy insides."""
    away = np.maximum(fields.signed_distance, 0)
    halo = np.exp(-((away / log_uniform(rng, 1.5, 6)) ** 2)) * rng.uniform(0.2, 1.2)
    inner = fields.rim * rng.uniform(-0.7, 0.5) * fields.inside
    body = fields.inside * rng.uniform(-0.4, 0.3) * fields.level
    knobs = fields.spots(rng, 900, rng.uniform(0.6, 1.8)) * fields.inside * rng.uniform(-1, 1)
    rough = fields.grain * (0.05 + rng.uniform(0, 0.35) * fields.inside)
    grey = halo * (1 - fields.inside) + inner + body + knobs + rough + 0.08 * fields.cloud
    return np.asarray(grey + fields.nucleus * rng.uniform(-0.3, 0.4), np.float32)


def brightfield(rng: Random, fields: SceneFields) -> Field:
    """Show transparent objects by the fringes at their edges."""
    width = log_uniform(rng, 2, max(4, 0.35 * fields.scene.radius))
    fringes = np.cos(fields.signed_distance / width * rng.uniform(1, 2.5) + rng.uniform(0, 6.3))
    grey = fringes * np.exp(-np.abs(fields.signed_distance - rng.uniform(-2, 1)) / width)
    grey = grey * rng.uniform(0.3, 1)
    body = (fields.level - 1 + rng.uniform(-0.5, 0.5)) * rng.uniform(0, 0.5)
    grey = grey + fields.inside * (body + rng.uniform(0, 0.35) * fields.grain)
    grey = grey + rng.uniform(0.02, 0.2) * fields.cloud
    return np.asarray(grey + fields.nucleus * rng.uniform(-0.35, 0.35), np.float32)


def interference(rng: Random, fields: SceneFields) -> Field:
    """Show slopes, lit from one side."""
    height = fields.level * (fields.roundness + 0.2) * (1 + rng.uniform(0, 0.4) * fields.grain)
    height = height + rng.uniform(0, 0.3) * fields.cloud * (0.3 + fields.inside)
    height = height + fields.nucleus * rng.uniform(-0.3, 0.6)
    rows, cols = np.gradient(blurred(height.astype(np.float32), rng.uniform(0.7, 2)))
    angle = rng.uniform(0, 6.3)
    slope = rows * np.sin(angle) + cols * np.cos(angle)
    slope = slope / (slope.std() + 1e-6)
    grey = slope + rng.uniform(0, 0.2) * fields.grain
    return np.asarray(grey + fields.inside * rng.uniform(-0.3, 0.3), np.float32)


def textured(rng: Random, fields: SceneFields) -> Field:
    """Show objects that differ from their ground in texture alone."""
    size = len(fields.inside)
    body = texture(rng, size, rng.uniform(0, 1.2), coarsest=0.05) * rng.uniform(0.3, 1)
    ground = texture(rng, size, rng.uniform(1.2, 3)) * rng.uniform(0.05, 0.4)
    body = fields.warped(body) + rng.uniform(-0.4, 0.4)
    return np.asarray(np.where(fields.inside > 0, body, ground), np.float32)


def _absorbed(rng: Random, stains: Sequence[Stain]) -> RgbImage:
    """Shine light through stains of the given absorbance per channel."""
    light = rng.uniform(0.85, 1.0, (3, 1, 1)) * np.ones((1, *stains[0][1].shape))
    for colour, amount in stains:
        shade = np.array(colour) * np.exp(rng.normal(size=3) * 0.15)
        light = light * np.exp(-np.clip(amount, 0, None) * shade[:, None, None])
    return np.asarray(light, np.float32)


def section(rng: Random, fields: SceneFields) -> RgbImage:
    """Show nuclei blue to violet in a pink tissue."""
    nuclei = _nuclei(fields) * rng.uniform(0.6, 2) * (1 + rng.uniform(0.05, 0.5) * fields.grain)
    hollow = 1 - rng.uniform(0, 0.5) * np.clip(fields.depth, 0, 1)
    fibres = np.clip(0.5 + rng.uniform(0.1, 0.5) * fields.cloud, 0.02, 2)
    ground = fibres * rng.uniform(0.15, 0.9) + fields.inside * rng.uniform(-0.1, 0.3)
    gaps = np.clip(fields.warped(fields.cloud[::-1]) - rng.uniform(0.5, 2.5), 0, 1)
    ground = ground * (1 - gaps) + fields.rim * rng.uniform(-0.2, 0.3)
    bluish = ground * rng.uniform(0, 0.35)
    return _absorbed(rng, [(HAEMATOXYLIN, nuclei * hollow + bluish), (EOSIN, ground)])


def labelled_section(rng: Random, fields: SceneFields) -> RgbImage:
    """Show nuclei brown or blue, by an antibody."""
    brown = (np.round(fields.level * 997 + fields.nucleus * 613) % 10) < rng.uniform(0, 10)
    nuclei = _nuclei(fields) * rng.uniform(0.5, 1.6) * (1 + rng.uniform(0.05, 0.4) * fields.grain)
    ground = np.clip(0.15 + 0.1 * fields.cloud, 0, 1) * rng.uniform(0, 1)
    blue = nuclei * ~brown + ground
    return _absorbed(rng, [(HAEMATOXYLIN, blue), (BROWN, nuclei * brown * rng.uniform(0.7, 2))])


def _nuclei(fields: SceneFields) -> Field:
    return fields.nucleus if fields.scene.nested.any() else fields.level


def smear(rng: Random, fields: SceneFields) -> RgbImage:
    """Show pale red cells, and white cells with a violet nucleus, in a light plasma."""
    nucleated = np.unique(fields.scene.labels[fields.scene.nested > 0])
    white = np.isin(fields.scene.labels, nucleated[nucleated > 0])
    pallor = 1 - rng.uniform(0, 0.8) * np.clip(fields.depth * 1.3 - 0.3, 0, 1)
    red = fields.level * pallor * ~white * rng.uniform(0.4, 1.2)
    granules = 1 + rng.uniform(0, 0.6) * fields.grain
    plasma = fields.inside * white * granules * rng.uniform(0.05, 0.6)
    nuclei = fields.nucleus * rng.uniform(0.9, 2.2) * (1 + rng.uniform(0.05, 0.3) * fields.grain)
    ground = np.clip(0.04 + 0.02 * fields.cloud, 0, 1)
    return _absorbed(
        rng, [(HAEMOGLOBIN, red + ground), (GIEMSA, nuclei + plasma * rng.uniform(0.3, 1))]
    )


def channels(rng: Random, fields: SceneFields) -> RgbImage:
    """Show cells in a first colour and their nuclei, or spots, in a second."""
    first = (fluorescence, membrane, ring)[rng.integers(3)](rng, fields)
    spots = fields.spots(rng, 400, rng.uniform(0.8, 3)) * (0.2 + fields.inside)
    nuclei = blurred(fields.nucleus, rng.uniform(0.3, 1.5)) * (1 + 0.3 * fields.grain)
    second = nuclei if fields.scene.nested.any() else spots * 1.5
    colours = _two_colours(rng)
    image = colours[0][:, None, None] * first + colours[1][:, None, None] * second
    return np.asarray(image, np.float32)


def tinted(rng: Random, grey: Field) -> RgbImage:
    """Show a grey image through a colormap of a single colour."""
    return np.asarray(_two_colours(rng)[0][:, None, None] * grey, np.float32)


def _two_colours(rng: Random) -> npt.NDArray[np.floating]:
    """Draw two different colours of the usual seven, (2, 3)."""
    usual = np.array(
        [[1, 0, 0], [0, 1, 0], [0.15, 0.25, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1]]
    )
    return np.asarray(usual[rng.choice(len(usual), 2, replace=False)])
