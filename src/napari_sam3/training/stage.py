"""Everything a look may need to know about a scene, measured once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_sam3.training.labels import boundaries
from napari_sam3.training.noise import Field, log_uniform, speckle, texture
from napari_sam3.training.scenes import Labels, Scene


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
