"""Where the pixels of an array lie in the world."""

from __future__ import annotations

import re
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


NO_UNIT = "pixel"

WITHOUT_UNIT = ("", NO_UNIT, "dimensionless")
"""What layers and files say where there is no unit."""

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
    return next((one for one in (name, name.removesuffix("s")) if one in _LONG), None)
