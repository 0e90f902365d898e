"""Units of length and time, by the names that OME-Zarr has for them."""

from __future__ import annotations

import re

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
