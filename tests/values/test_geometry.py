from __future__ import annotations

import pytest

from napari_sam3.values.geometry import named_unit


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("um", "micrometer"),
        ("\N{MICRO SIGN}m", "micrometer"),
        ("\N{GREEK SMALL LETTER MU}m", "micrometer"),
        ("\\u00B5m", "micrometer"),
        ("microns", "micrometer"),
        ("Micrometre", "micrometer"),
        ("mm", "millimeter"),
        ("Mm", "megameter"),
        ("\N{LATIN CAPITAL LETTER A WITH RING ABOVE}", "angstrom"),
        ("inch", "inch"),
        ("sec", "second"),
        ("ms", "millisecond"),
        ("minutes", "minute"),
    ],
)
def test_units_have_the_names_of_ome_zarr(told, name):
    assert named_unit(told) == name


@pytest.mark.parametrize("told", ["", " ", "pixel", "furlong", "1", "s s"])
def test_what_is_no_unit_has_no_name(told):
    assert named_unit(told) is None
