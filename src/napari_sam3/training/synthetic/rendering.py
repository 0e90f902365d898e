"""Taking pictures of a scene: choosing a look, then light, lens and sensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from . import appearance
from .appearance import Picture, Stage, set_up
from .movies import ghosts, hazed
from .random_fields import Field, blurred, log_uniform, texture
from .scenes import Kind, Scene

Random = np.random.Generator
Look = Callable[[Random, Stage], Field]

LOOKS: dict[Kind, tuple[Look, ...]] = {
    "blob": (
        *(appearance.fluorescence,) * 5, appearance.phase, appearance.brightfield, appearance.interference, appearance.ring,
        appearance.channels, appearance.section, appearance.section, appearance.labelled_section,
    ),
    "rod": (
        *(appearance.crowded_phase,) * 3, *(appearance.packed_phase,) * 3, appearance.phase, appearance.phase,
        appearance.fluorescence, appearance.fluorescence, appearance.brightfield, appearance.ring, appearance.interference,
    ),
    "yeast": (
        appearance.brightfield, appearance.brightfield, appearance.phase, appearance.crowded_phase,
        appearance.fluorescence, appearance.interference, appearance.ring,
    ),
    "spread": (
        appearance.fluorescence, appearance.phase, *(appearance.adherent_phase,) * 3, appearance.interference,
        appearance.brightfield, appearance.channels, appearance.channels,
    ),
    "tissue": (
        appearance.membrane, appearance.membrane, appearance.fluorescence, appearance.phase, appearance.brightfield,
        appearance.channels, appearance.section,
    ),
    "neurite": (*(appearance.electrons,) * 6, appearance.membrane, appearance.fluorescence),
    "vesicle": (
        appearance.ring, appearance.fluorescence, appearance.fluorescence, appearance.electrons, appearance.brightfield,
        appearance.section, appearance.labelled_section,
    ),
    "blood": (*(appearance.smear,) * 4, appearance.brightfield),
}  # fmt: skip
STAINED = (appearance.section, appearance.labelled_section)
GLOWING = (appearance.fluorescence, appearance.ring, appearance.membrane)


def choose_appearance(rng: Random, kind: Kind) -> Look:
    """Pick a look that suits the objects."""
    if rng.random() < 0.04:
        return appearance.textured
    return LOOKS[kind][rng.integers(len(LOOKS[kind]))]


def focused_on(look: Look, scenes: Sequence[Scene]) -> list[Scene]:
    """Let the nuclei be the objects where a stain shows them best."""
    if look not in STAINED or not scenes[0].nested.any():
        return list(scenes)
    return [replace(scene, labels=scene.nested, nested=scene.labels) for scene in scenes]


def film(
    rng: Random, scenes: Sequence[Scene], look: Look, whole: Scene | None = None
) -> list[Picture]:
    """Take a picture of each frame, same look and same exposure, values mostly in 0..1.

    Parameters
    ----------
    whole : the objects of a z-stack where they are widest, which shine through on every slice.
    """
    seed = int(rng.integers(2**32))
    seen = [_seen(np.random.default_rng(seed), scene, look) for scene in scenes]
    if whole is not None and look is not appearance.electrons:
        widest = _seen(np.random.default_rng(seed), whole, look), whole
        seen = [hazed(rng, *slices, widest) for slices in zip(seen, scenes, strict=True)]
    else:
        for index in range(1, len(seen)):
            frames = slice(index - 1, index + 1)
            before, after = seen[frames]
            seen[index] = ghosts(rng, (before, after), (scenes[index - 1], scenes[index]))
    seen[1:] = [_refocused(rng, picture) for picture in seen[1:]]
    dark, bright = np.percentile(seen[0], (0.5, 99.7))
    developed = [(picture - dark) / (bright - dark + 1e-6) for picture in seen]
    return [_sensed(np.random.default_rng(seed), rng, picture) for picture in developed]


def _seen(rng: Random, scene: Scene, look: Look) -> Picture:
    """Render without a sensor; the same `rng` state gives the same look."""
    picture = np.atleast_3d(look(rng, set_up(rng, scene)).T).T
    size = picture.shape[-1]
    if rng.random() < 0.3:
        dirt = texture(rng, size, 2.5, 0.1) > rng.uniform(2.2, 3.5)
        shade = rng.uniform(-0.6, 0.6) * np.ptp(picture)
        picture = picture + shade * blurred(dirt.astype(np.float32), 1)
    uneven = _uneven_light(rng, size)
    if look in GLOWING:
        picture = picture * np.clip(1 + uneven, 0.15, 3)
    else:
        picture = picture + uneven * 0.5 * picture.std()
    radius = log_uniform(rng, 0.3, max(0.6, min(2.4, 0.22 * scene.radius)))
    picture = np.stack([blurred(channel.astype(np.float32), radius) for channel in picture])
    if len(picture) == 1:
        picture = appearance.tinted(rng, picture[0]) if rng.random() < 0.1 else picture.repeat(3, 0)
    return np.asarray(picture, np.float32)


def _uneven_light(rng: Random, size: int) -> Field:
    """Draw how much brighter than the mean each place is lit."""
    ramp = np.linspace(-1, 1, size)
    slope = rng.uniform(-0.4, 0.4, 2)
    cloud = rng.uniform(0, 0.3) * texture(rng, size, 4, 0.012)
    light = cloud + slope[0] * ramp[:, None] + slope[1] * ramp
    return np.asarray(light * (rng.random() < 0.6), np.float32)


def _refocused(rng: Random, picture: Picture) -> Picture:
    """Change focus and brightness a little, as the next frame might."""
    if rng.random() < 0.3:
        radius = rng.uniform(0.3, 1.5)
        picture = np.stack([blurred(channel, radius) for channel in picture])
    if rng.random() < 0.5:
        picture = picture * rng.uniform(0.75, 1.2)
    return picture


def _sensed(rng: Random, sensor: Random, picture: Picture) -> Picture:
    """Add shot and read noise, then the sensor's curve; `rng` chooses, `sensor` is the noise."""
    one_channel = bool((picture[0] == picture[1]).all() and (picture[0] == picture[2]).all())
    picture = picture[:1] if one_channel else picture
    photons, offset = log_uniform(rng, 20, 2000), rng.uniform(0, 0.25)
    if rng.random() < 0.85:
        expected = np.clip(picture + offset, 0, 4) * photons
        picture = np.asarray(sensor.poisson(expected) / photons - offset, np.float32)
    grain = sensor.standard_normal(picture.shape)
    radius = rng.choice((0, rng.uniform(0.4, 1.1)), p=(0.6, 0.4))
    grain = np.stack([blurred(channel.astype(np.float32), radius) for channel in grain])
    strength = rng.choice((0, log_uniform(rng, 0.004, 0.11)), p=(0.3, 0.7))
    picture = np.asarray(picture + grain / grain.std() * strength, np.float32)
    if rng.random() < 0.5:
        curve = log_uniform(rng, 0.55, 1.7)
        picture = np.asarray(np.sign(picture) * np.abs(picture) ** curve, np.float32)
    if rng.random() < 0.12:
        picture = 1 - picture
    return np.asarray(picture.repeat(3, 0) if one_channel else picture, np.float32)
