"""Reading frames while the model looks at those before them."""

from __future__ import annotations

from dataclasses import replace
from threading import Event, get_ident

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sam3.engine import Channel, Contrast, Frames, FramesError
from napari_sam3.engine.images.picture import Picture
from napari_sam3.engine.read_ahead import ReadAhead

CONTRAST = Contrast((Channel((0, 255)),))
WAIT_S = 10


class Stack:
    """Notes which frames are read and by which thread; frame 3 cannot be read."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.readers: set[int] = set()
        self.has_read = Event()
        self.first = Picture(Frames(5, (16, 16), 1, self._read), CONTRAST, 0)

    def picture(self, frame: int) -> Picture:
        return replace(self.first, frame=frame)

    def _read(self, frame: int) -> NDArray[np.uint8]:
        self.read.append(frame)
        self.readers.add(get_ident())
        self.has_read.set()
        if frame == 3:
            raise OSError("the disk is gone")
        return np.full((16, 16, 1), frame, np.uint8)


@pytest.fixture
def stack() -> Stack:
    return Stack()


def never(_: Picture) -> bool:
    return False


def test_following_picture_is_read_by_another_thread_before_it_is_asked_for(stack: Stack) -> None:
    with ReadAhead(never) as ahead:
        ahead.expect(stack.picture(1))
        assert stack.has_read.wait(WAIT_S)

        image = ahead.picture(stack.picture(1)).draw()

    assert stack.read == [1]
    assert get_ident() not in stack.readers
    np.testing.assert_allclose(image, 1 / 255, rtol=1e-6)


def test_picture_that_was_not_expected_is_read_when_it_is_drawn(stack: Stack) -> None:
    with ReadAhead(never) as ahead:
        ahead.expect(stack.picture(1))

        ahead.picture(stack.picture(0)).draw()

    assert 0 in stack.read
    assert get_ident() in stack.readers


def test_picture_that_is_ready_is_not_read(stack: Stack) -> None:
    with ReadAhead(lambda picture: picture.frame == 1) as ahead:
        ahead.expect(stack.picture(1), stack.picture(2))

        ahead.picture(stack.picture(2)).draw()

    assert stack.read == [2]


def test_error_surfaces_with_the_picture_it_belongs_to(stack: Stack) -> None:
    with ReadAhead(never) as ahead:
        ahead.expect(stack.picture(2), stack.picture(3))
        ahead.picture(stack.picture(2)).draw()

        broken = ahead.picture(stack.picture(3))

        with pytest.raises(FramesError, match="Frame 3 cannot be read"):
            broken.draw()


def test_pictures_expected_again_are_read_once(stack: Stack) -> None:
    with ReadAhead(never) as ahead:
        ahead.expect(stack.picture(1), stack.picture(2))
        one = ahead.picture(stack.picture(1)).draw()

        ahead.expect(stack.picture(2))
        other = ahead.picture(stack.picture(2)).draw()

    assert stack.read == [1, 2]
    assert [round(float(image.max()) * 255) for image in (one, other)] == [1, 2]


def test_copy_of_an_expected_picture_is_one_too(stack: Stack) -> None:
    with ReadAhead(never) as ahead:
        ahead.expect(stack.picture(1))

        replace(ahead.picture(stack.first), frame=1).draw()

    assert stack.read == [1]
    assert get_ident() not in stack.readers
