from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Contrast, Frames
from napari_sam3.engine.images.channel_colors import default_colors


def frames_of(channels: int) -> Frames:
    return Frames.from_array(np.zeros((2, 8, 8, channels), np.uint16))


def test_one_channel_is_white() -> None:
    assert default_colors(frames_of(1)) == [(1, 1, 1)]


def test_colour_image_is_red_green_and_blue() -> None:
    colors = default_colors(Frames.from_array(np.zeros((8, 8, 3), np.uint8)))

    assert colors == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


@pytest.mark.parametrize("channels", [2, 3, 4, 6, 7, 12])
def test_every_channel_shows_in_a_colour_of_its_own(channels: int) -> None:
    frames = frames_of(channels)
    frame = np.eye(channels).reshape(1, channels, channels)

    image = Contrast.estimate(frames).compose(frame)

    assert len(np.unique(image[0], axis=0)) == channels
    assert (image[0].max(axis=1) == 1).all()
