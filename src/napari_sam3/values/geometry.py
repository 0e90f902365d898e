"""Where the pixels of an array lie in the world."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Geometry:
    """Axes of an array, and how pixels are told from the world along each."""

    axes: str  # a letter for each, such as tzyx
    scale: tuple[float, ...]  # size of a pixel, in the unit of its axis
    translation: tuple[float, ...]  # centre of the first pixel, in the unit of its axis
    units: tuple[str, ...]  # of each axis; "pixel" where there is none

    @classmethod
    def of_pixels(cls, axes: str) -> Self:
        """Return the geometry of an array of which no more than its axes is known."""
        count = len(axes)
        return cls(axes, (1.0,) * count, (0.0,) * count, ("pixel",) * count)

    @classmethod
    def of_layer(
        cls,
        axis_labels: Sequence[str],
        units: Sequence[str],
        scale: Sequence[float],
        translation: Sequence[float],
    ) -> Self:
        """Return the geometry of a layer, whose axes are named as they are labelled if possible."""
        return cls(
            axes_of(axis_labels, units),
            tuple(float(size) for size in scale),
            tuple(float(distance) for distance in translation),
            tuple(units),
        )


NO_UNIT = "pixel"

WITHOUT_UNIT = ("", NO_UNIT, "dimensionless")
"""What layers and files say where there is no unit."""


def default_axes(count: int) -> str:
    """Return a letter for each of so many axes: t, c and z before y and x, as far as they go."""
    return "ijklmnopqr"[: max(count - 5, 0)] + "tczyx"[-min(count, 5) :]


def axes_of(axis_labels: Sequence[str], units: Sequence[str]) -> str:
    """Return a letter for every axis, those of the labels where they are letters of images."""
    count = len(units)
    letters = "".join(str(label).lower()[:1] for label in axis_labels)
    if len(letters) == len(set(letters)) == count and set(letters) <= set("tczyx"):
        return letters
    is_volume = units[0] == units[-1] not in WITHOUT_UNIT  # frames as far apart as rows are long
    return {3: "zyx" if is_volume else "tyx", 4: "tzyx"}.get(count, default_axes(count))


_PREFIXES = {
    "": "",
    "y": "yocto",
    "z": "zepto",
    "a": "atto",
    "f": "femto",
    "p": "pico",
    "n": "nano",
    "u": "micro",
    "\N{MICRO SIGN}": "micro",
    "\N{GREEK SMALL LETTER MU}": "micro",
    "m": "milli",
    "c": "centi",
    "d": "deci",
    "h": "hecto",
    "k": "kilo",
    "M": "mega",
    "G": "giga",
    "T": "tera",
    "P": "peta",
    "E": "exa",
    "Z": "zetta",
    "Y": "yotta",
}
_BASES = {"m": "meter", "s": "second", "sec": "second"}
_SHORT = {
    prefix + base: _PREFIXES[prefix] + _BASES[base] for prefix in _PREFIXES for base in _BASES
} | {
    "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": "angstrom",
    "\N{ANGSTROM SIGN}": "angstrom",
    "ft": "foot",
    "in": "inch",
    "mi": "mile",
    "pc": "parsec",
    "yd": "yard",
    "d": "day",
    "h": "hour",
    "hr": "hour",
    "min": "minute",
}
_LONG = set(_SHORT.values())
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")


def named_unit(told: str) -> str | None:
    r"""Return the name of a unit, such as micrometer for µm; None where it is not known.

    ImageJ escapes letters beyond ASCII, as in ``\u00B5m``.
    """
    text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), told).strip()
    if text in _SHORT:
        return _SHORT[text]
    name = text.lower().replace("metre", "meter").replace("micron", "micrometer")
    return next((unit for unit in (name, name.removesuffix("s")) if unit in _LONG), None)
