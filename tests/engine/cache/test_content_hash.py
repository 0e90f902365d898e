from __future__ import annotations

import numpy as np

from napari_sam3.engine.cache.content_hash import pixels_digest, window_text
from napari_sam3.engine.images.frames import Window


def test_values_types_shapes_and_windows_have_different_hashes() -> None:
    pixels = np.zeros((4, 6, 1), np.uint8)
    changed = pixels.copy()
    changed[3, 5] = 1

    digests = {
        pixels_digest(each)
        for each in (pixels, changed, pixels.view(np.int8), pixels.reshape(6, 4, 1))
    }
    windows = {window_text(each) for each in (None, Window(0, 0, 0, 4, 6), Window(1, 0, 0, 4, 6))}

    assert len(digests) == 4
    assert len(windows) == 3


def test_digest_of_a_view_is_that_of_its_copy() -> None:
    part = np.arange(48, dtype=np.uint16).reshape(6, 8, 1)[1:4, 2:5]

    assert pixels_digest(part) == pixels_digest(part.copy())
