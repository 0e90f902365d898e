from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from napari_sam3.engine.cache.writer import Writer

WAIT_S = 10


def test_things_are_written_in_their_order() -> None:
    writer, written = Writer(), []

    for number in range(5):
        writer.bring(lambda number=number: written.append(number))
    writer.close()

    assert written == [0, 1, 2, 3, 4]


def test_who_brings_a_third_waits_for_the_first() -> None:
    writer, may_write, written = Writer(), Event(), []

    def write() -> None:
        assert may_write.wait(WAIT_S)
        written.append(1)

    with ThreadPoolExecutor(1) as other:
        for _ in range(2):
            writer.bring(write)
        third = other.submit(writer.bring, write)
        before = written.copy()
        may_write.set()
        third.result(WAIT_S)
        after = written.copy()
    writer.close()

    assert before == []
    assert len(after) >= 1
    assert len(written) == 3


def test_what_goes_wrong_is_raised_later_and_not_lost() -> None:
    writer = Writer()
    writer.bring(lambda: [][0])

    with pytest.raises(IndexError):
        writer.finish()
    writer.close()


def test_closed_writer_can_be_used_again() -> None:
    writer, written = Writer(), []
    writer.close()

    writer.bring(lambda: written.append(1))
    writer.close()

    assert written == [1]
