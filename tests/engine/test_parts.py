import numpy as np
import pytest

from napari_sam3.engine.masks import Place
from napari_sam3.engine.parts import overlap, shared_area


def test_pixels_that_two_masks_share_are_counted_where_they_lie() -> None:
    rng = np.random.default_rng(0)
    places = [
        (slice(3, 12), slice(0, 9)),
        (slice(8, 20), slice(5, 15)),
        (slice(15, 20), slice(0, 5)),
    ]
    parts = [
        (p, rng.random((p[0].stop - p[0].start, p[1].stop - p[1].start)) < 0.6) for p in places
    ]
    whole = [Place(rows.start, cols.start, (24, 24)).spread(mask) for (rows, cols), mask in parts]

    for one in range(3):
        for other in range(3):
            shared = np.count_nonzero(whole[one] & whole[other])
            assert shared_area(parts[one], parts[other]) == shared


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [((0, 4), (0, 4), 1.0), ((0, 4), (2, 6), 1 / 3), ((0, 4), (4, 8), 0.0), ((3, 3), (3, 3), 0.0)],
)
def test_overlap_is_what_is_shared_of_both(one, other, share):
    parts = [
        ((slice(0, 2), slice(*cols)), np.ones((2, cols[1] - cols[0]), bool))
        for cols in (one, other)
    ]

    assert overlap(*parts) == pytest.approx(share)
