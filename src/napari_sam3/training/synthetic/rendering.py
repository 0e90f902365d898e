"""Images of scenes: a modality, then light, lens and sensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from .appearance import (
    RgbImage,
    SceneFields,
    adherent_phase,
    brightfield,
    channels,
    crowded_phase,
    electrons,
    fluorescence,
    interference,
    labelled_section,
    membrane,
    packed_phase,
    phase,
    ring,
    scene_fields,
    section,
    smear,
    textured,
    tinted,
)
from .movies import with_ghosts, with_haze
from .random_fields import Field, Random, blurred, log_uniform, texture
from .scenes import Kind, Scene

Modality = Callable[[Random, SceneFields], Field]
"""Shows a scene under one kind of microscope, (H, W) grey or (3, H, W)."""

MODALITIES: dict[Kind, tuple[Modality, ...]] = {
    "blob": (
        *(fluorescence,) * 5, phase, brightfield, interference, ring, channels,
        section, section, labelled_section,
    ),
    "rod": (
        *(crowded_phase,) * 3, *(packed_phase,) * 3, phase, phase,
        fluorescence, fluorescence, brightfield, ring, interference,
    ),
    "yeast": (
        brightfield, brightfield, phase, crowded_phase, fluorescence, interference, ring,
    ),
    "adherent": (
        fluorescence, phase, *(adherent_phase,) * 3, interference,
        brightfield, channels, channels,
    ),
    "tissue": (
        membrane, membrane, fluorescence, phase, brightfield, channels, section,
    ),
    "neurite": (*(electrons,) * 6, membrane, fluorescence),
    "vesicle": (
        ring, fluorescence, fluorescence, electrons, brightfield, section, labelled_section,
    ),
    "blood": (*(smear,) * 4, brightfield),
}  # fmt: skip
"""How often a kind of scene is shown in each modality."""
STAINED = (section, labelled_section)
GLOWING = (fluorescence, ring, membrane)


def draw_modality(rng: Random, kind: Kind) -> Modality:
    """Draw a modality that suits the objects."""
    if rng.random() < 0.04:
        return textured
    return MODALITIES[kind][rng.integers(len(MODALITIES[kind]))]


def stained_objects(modality: Modality, scenes: Sequence[Scene]) -> list[Scene]:
    """Make the nuclei the objects where the stain shows nuclei best."""
    if modality not in STAINED or not scenes[0].nested.any():
        return list(scenes)
    return [replace(scene, labels=scene.nested, nested=scene.labels) for scene in scenes]


def render_frames(
    rng: Random, scenes: Sequence[Scene], modality: Modality, whole: Scene | None = None
) -> list[RgbImage]:
    """Render all frames in the same modality and brightness, values mostly in 0..1.

    Parameters
    ----------
    whole : the objects of a z-stack where they are widest; their light reaches every slice.
    """
    seed = int(rng.integers(2**32))
    images = [_rendered(np.random.default_rng(seed), scene, modality) for scene in scenes]
    if whole is not None and modality is not electrons:
        widest = _rendered(np.random.default_rng(seed), whole, modality), whole
        images = [with_haze(rng, *slices, widest) for slices in zip(images, scenes, strict=True)]
    else:
        for index in range(1, len(images)):
            pair = (images[index - 1], images[index])
            images[index] = with_ghosts(rng, pair, (scenes[index - 1], scenes[index]))
    images[1:] = [_refocused(rng, image) for image in images[1:]]
    dark, bright = np.percentile(images[0], (0.5, 99.7))
    scaled = [(image - dark) / (bright - dark + 1e-6) for image in images]
    return [_recorded(np.random.default_rng(seed), rng, image) for image in scaled]


def _rendered(rng: Random, scene: Scene, modality: Modality) -> RgbImage:
    """Render light and lens without the sensor; equal states of `rng` give equal textures."""
    image = np.atleast_3d(modality(rng, scene_fields(rng, scene)).T).T
    size = image.shape[-1]
    if rng.random() < 0.3:
        dirt = texture(rng, size, 2.5, 0.1) > rng.uniform(2.2, 3.5)
        shade = rng.uniform(-0.6, 0.6) * np.ptp(image)
        image = image + shade * blurred(dirt.astype(np.float32), 1)
    uneven = _uneven_light(rng, size)
    if modality in GLOWING:
        image = image * np.clip(1 + uneven, 0.15, 3)
    else:
        image = image + uneven * 0.5 * image.std()
    radius = log_uniform(rng, 0.3, max(0.6, min(2.4, 0.22 * scene.radius)))
    image = np.stack([blurred(channel.astype(np.float32), radius) for channel in image])
    if len(image) == 1:
        image = tinted(rng, image[0]) if rng.random() < 0.1 else image.repeat(3, 0)
    return np.asarray(image, np.float32)


def _uneven_light(rng: Random, size: int) -> Field:
    """Draw how much brighter than the mean each pixel is lit."""
    ramp = np.linspace(-1, 1, size)
    slope = rng.uniform(-0.4, 0.4, 2)
    cloud = rng.uniform(0, 0.3) * texture(rng, size, 4, 0.012)
    light = cloud + slope[0] * ramp[:, None] + slope[1] * ramp
    return np.asarray(light * (rng.random() < 0.6), np.float32)


def _refocused(rng: Random, image: RgbImage) -> RgbImage:
    """Change focus and brightness a little, as the next frame might."""
    if rng.random() < 0.3:
        radius = rng.uniform(0.3, 1.5)
        image = np.stack([blurred(channel, radius) for channel in image])
    if rng.random() < 0.5:
        image = image * rng.uniform(0.75, 1.2)
    return image


def _recorded(rng: Random, sensor: Random, image: RgbImage) -> RgbImage:
    """Add shot and read noise, then the sensor's curve; `rng` chooses, `sensor` is the noise."""
    is_grey = bool((image[0] == image[1]).all() and (image[0] == image[2]).all())
    image = image[:1] if is_grey else image
    photons, offset = log_uniform(rng, 20, 2000), rng.uniform(0, 0.25)
    if rng.random() < 0.85:
        expected = np.clip(image + offset, 0, 4) * photons
        image = np.asarray(sensor.poisson(expected) / photons - offset, np.float32)
    grain = sensor.standard_normal(image.shape)
    radius = rng.choice((0, rng.uniform(0.4, 1.1)), p=(0.6, 0.4))
    grain = np.stack([blurred(channel.astype(np.float32), radius) for channel in grain])
    strength = rng.choice((0, log_uniform(rng, 0.004, 0.11)), p=(0.3, 0.7))
    image = np.asarray(image + grain / grain.std() * strength, np.float32)
    if rng.random() < 0.5:
        curve = log_uniform(rng, 0.55, 1.7)
        image = np.asarray(np.sign(image) * np.abs(image) ** curve, np.float32)
    if rng.random() < 0.12:
        image = 1 - image
    return np.asarray(image.repeat(3, 0) if is_grey else image, np.float32)
