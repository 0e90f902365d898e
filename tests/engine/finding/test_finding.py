from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Channel, Contrast, Engine, Frames, Session
from tests.backends import DiskBackend, disk_frames

FRAME = np.maximum(*disk_frames([(20, 20), (44, 44)]))
BOX, OTHER = (14, 14, 26, 26), (38, 38, 50, 50)


@pytest.fixture
def backend() -> DiskBackend:
    return DiskBackend(reads_exemplars=True)


@pytest.fixture
def session(backend) -> Session:
    return Engine(backend).open(np.stack([FRAME, FRAME[::-1]]))


def test_boxes_on_the_frame_that_is_searched_stay_boxes(session, backend):
    session.find(0, exemplars=[BOX], negatives=[OTHER])

    assert backend.found[0].exemplars == (BOX,)
    assert backend.found[0].negatives == (OTHER,)


def test_boxes_end_where_the_frame_does(session, backend):
    session.find(0, exemplars=[(-50, 26, 14, -9)], negatives=[(38, 38, np.inf, 90)])

    assert backend.found[0].exemplars == ((-0.5, 26, 14, -0.5),)
    assert backend.found[0].negatives == ((38, 38, 63.5, 63.5),)


@pytest.mark.parametrize("side", [64, 2100])
def test_an_exemplar_at_the_border_may_be_drawn_generously(backend, side):
    session = Engine(backend).open(np.zeros((side, side), np.uint8))

    exemplar = session.exemplar(0, (-20, -900, 20, 20))

    assert exemplar.box == (-0.5, -0.5, 20, 20)


def test_an_exemplar_of_one_frame_is_shown_on_another(session, backend):
    exemplar = session.exemplar(0, BOX)

    session.find(1, exemplars=[exemplar])

    assert backend.found[0].shown == [exemplar]
    assert exemplar.appearance["grey"].mean() > 0.5
    assert exemplar.picture.shape == (25, 25, 3)


def test_further_exemplars_of_a_frame_do_not_read_it_again(backend):
    read = []
    frames = Frames(2, FRAME.shape, 1, lambda frame: read.append(frame) or FRAME[..., None])
    session = Engine(backend).open(frames, contrast=Contrast((Channel((0, 255)),)))
    first = session.exemplar(1, BOX)
    read.clear()

    again = session.exemplar(1, BOX)
    list(session.find_all(exemplars=[BOX, OTHER], frame=1))

    assert read == [0]
    np.testing.assert_array_equal(again.picture, first.picture)


def test_an_exemplar_that_is_not_meant_counts_as_a_negative(session, backend):
    meant, other = session.exemplar(0, BOX), session.exemplar(0, OTHER).negated()

    session.find(1, exemplars=[meant, other])

    assert list(backend.found[0].exemplars) == [meant]
    assert list(backend.found[0].negatives) == [other]


def test_boxes_for_the_whole_stack_lie_on_the_frame_that_is_named(session, backend):
    found = list(session.find_all(exemplars=[BOX], negatives=[OTHER], frame=0))

    assert [one.frame for one in found] == [0, 1]
    assert backend.encoded == 2
    assert [len(concept.shown) for concept in backend.found] == [2, 2]


def test_a_region_holds_objects_back_and_embeds_nothing_more(session, backend):
    region = (0, 0, 30, 30)

    found = session.everything(0), session.everything(0, region), session.find(0, None, [BOX])

    assert [len(one) for one in found] == [2, 1, 2]
    assert found[1].boxes[0].tolist() == [14, 14, 27, 27]
    assert backend.encoded == 1
