"""Outlines of single cells, nuclei and organelles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .random_fields import log_uniform

Patch = npt.NDArray[np.bool_]
"""(h, w), both odd, with the object in the middle."""


def blob(
    rng: np.random.Generator, radius: float, roughness: float = 0.1, stretch: float = 1.0
) -> Patch:
    """Draw a wavy ellipse: nuclei, rounded cells, vesicles."""
    half = stretch**0.5
    y, x = _plane(radius * (1.7 + roughness) * max(1.0, half))
    along, across = _turned(y, x, rng.uniform(0, np.pi))
    along, across = along / half, across * half
    angle = np.arctan2(across, along)
    edge = np.ones_like(angle)
    for order in range(2, 7):
        height = roughness * rng.normal() / (order - 0.5)
        edge += height * np.cos(order * angle + rng.uniform(0, 6.3))
    inside: Patch = np.hypot(along, across) < radius * np.clip(edge, 0.35, 1.7)
    return inside


def rod(rng: np.random.Generator, radius: float, length: float, angle: float) -> Patch:
    """Draw a bent capsule: bacteria, some of them curved like a comma."""
    y, x = _plane(length / 2 + radius + 1)
    along, across = _turned(y, x, angle)
    bend = rng.normal() * (0.25 if rng.random() < 0.7 else 0.8)
    across = across - bend * along**2 / max(length, 1)
    beyond = np.maximum(np.abs(along) - max(length / 2 - radius, 0), 0)
    width = radius * (1 + rng.uniform(-0.12, 0.12) * np.cos(along / max(length, 1) * 6.28))
    inside: Patch = beyond**2 + across**2 < width**2
    return inside


def thread(rng: np.random.Generator, radius: float, length: float) -> Patch:
    """Draw a long winding thread: filaments of bacteria, stalks, hyphae, flagella, worms."""
    steps = max(4, int(length))
    stiffness = log_uniform(rng, 0.15, 2.0) * length
    turns = np.cumsum(rng.normal(size=steps) / np.sqrt(stiffness)) + rng.normal() / stiffness
    heading = rng.uniform(0, 2 * np.pi) + ndimage.gaussian_filter1d(turns, 1 + 2 * radius)
    path = np.cumsum([np.sin(heading), np.cos(heading)], axis=1)
    path = np.round(path - (path.min(1) + path.max(1))[:, None] / 2).astype(int)
    half = np.abs(path).max(1) + int(radius) + 2
    outside = np.ones(2 * half + 1, bool)
    outside[tuple(path + half[:, None])] = False
    inside: Patch = ndimage.distance_transform_edt(outside) < radius
    return inside


def adherent(rng: np.random.Generator, radius: float, roughness: float) -> Patch:
    """Draw an adherent cell with protrusions."""
    distance, angle = _polar(radius * 2.6)
    edge = np.full_like(angle, rng.uniform(0.55, 0.9))
    for _ in range(rng.integers(2, 6)):
        turn = np.angle(np.exp(1j * (angle - rng.uniform(-np.pi, np.pi))))
        edge += rng.uniform(0.3, 1.4) * np.exp(-(turn**2) / (2 * rng.uniform(0.12, 0.5) ** 2))
    for order in range(3, 9):
        height = roughness * 0.5 * rng.normal() / order
        edge += height * np.cos(order * angle + rng.uniform(0, 6.3))
    inside: Patch = distance < radius * np.clip(edge, 0.3, 2.4)
    return inside


def spindle(rng: np.random.Generator, radius: float) -> Patch:
    """Draw a long adherent cell that tapers to both ends, some with a forked end."""
    half = radius * rng.uniform(1.5, 3.2)
    y, x = _plane(half * 1.2)
    along, across = _turned(y, x, rng.uniform(0, 6.3))
    across = across - rng.normal() * 0.3 * along**2 / half - rng.normal() * 0.2 * along
    along = along + rng.normal() * 0.2 * half * (1 - (along / half) ** 2)
    taper = np.clip(1 - np.abs(along / half) ** rng.uniform(0.8, 2), 0, 1)
    width = radius * rng.uniform(0.3, 0.6) * taper
    tail = (np.abs(along) < half) & (np.abs(across) < radius * rng.uniform(0.05, 0.15) + 0.7)
    inside: Patch = (np.abs(across) < width) | tail
    if rng.random() < 0.4:
        fork = np.abs(across - 0.5 * (along - 0.5 * half)) < 0.12 * radius + 0.7
        inside = inside | (fork & (along > 0.4 * half) & (along < half))
    return inside


def budding(rng: np.random.Generator, radius: float) -> Patch:
    """Draw a yeast cell, some with a bud."""
    y, x = _plane(radius * 2.6)
    stretch = rng.uniform(1, 1.35)
    along, across = _turned(y, x, rng.uniform(0, 6.3))
    inside: Patch = along**2 / stretch + across**2 * stretch < radius**2
    if rng.random() < 0.35:
        bud = rng.uniform(0.35, 0.8) * radius
        away = radius * stretch**0.5 + bud * rng.uniform(0.3, 0.8)
        inside = inside | ((along - away) ** 2 + across**2 < bud**2)
    return inside


def lobed(rng: np.random.Generator, radius: float) -> Patch:
    """Draw a segmented or kidney-shaped nucleus: round lobes strung on an arc."""
    y, x = _plane(radius * 1.6)
    inside = np.zeros(y.shape, bool)
    start, sweep = rng.uniform(0, 6.3), rng.uniform(1.2, 4.2)
    count = int(rng.integers(2, 6))
    orbit = radius * rng.uniform(0.5, 0.75)
    for angle in start + sweep * np.linspace(0, 1, count):
        lobe = radius * rng.uniform(0.32, 0.55)
        row, col = orbit * np.sin(angle), orbit * np.cos(angle)
        inside |= (y - row) ** 2 + (x - col) ** 2 < lobe**2
    for angle in start + sweep * np.linspace(0, 1, 24):
        row, col = orbit * np.sin(angle), orbit * np.cos(angle)
        inside |= (y - row) ** 2 + (x - col) ** 2 < (radius * 0.22) ** 2
    return inside


def _plane(reach: float) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Return y and x of every pixel of a patch, from its centre."""
    side = int(np.ceil(reach)) + 2
    y, x = np.mgrid[-side : side + 1, -side : side + 1].astype(np.float32)
    return y, x


def _polar(reach: float) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Return distance from the centre and angle of every pixel of a patch."""
    y, x = _plane(reach)
    return np.hypot(y, x), np.arctan2(y, x)


def _turned(
    y: npt.NDArray[np.floating], x: npt.NDArray[np.floating], angle: float
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * x + sin * y, cos * y - sin * x
