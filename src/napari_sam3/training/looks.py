"""Grey looks: how fluorescence, phase contrast, electrons and others show a scene."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_sam3.training.labels import boundaries
from napari_sam3.training.noise import Field, blurred, log_uniform, texture
from napari_sam3.training.stage import Stage

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
