from __future__ import annotations

import gc
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
import zarr.storage

from napari_sam3.engine import (
    Budgets,
    Engine,
    Frames,
    FramesError,
    Mask,
    ModelError,
    PromptError,
    Prompts,
    Sam3Error,
    Session,
)
from tests.backends import DiskBackend, disk_frames, ellipse
from tests.masks import mask_of

CLICK = Prompts(points=[(30, 12)])
MOVIE = disk_frames([(30, 10 + 4 * index) for index in range(10)])


def click_on_disk(frame: int) -> Prompts:
    return Prompts(points=[(30, 10 + 4 * frame)])


@pytest.fixture
def session(engine: Engine) -> Session:
    return engine.open(MOVIE)


def test_click_returns_a_mask_its_score_and_three_hypotheses(session: Session) -> None:
    mask = session.segment(2, CLICK, object_id=5)

    assert (mask.frame, mask.object_id, mask.score) == (2, 5, 0.9)
    assert [hypothesis.name for hypothesis in mask.alternatives] == ["whole", "part", "sub-part"]
    np.testing.assert_array_equal(mask.pixels, ellipse((64, 64), (30, 12), (6, 6)))


def test_masks_are_read_only(session: Session) -> None:
    mask = session.segment(0, CLICK)

    for pixels in (mask.pixels, mask.alternatives[2].pixels):
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0] = True


def test_mask_prompt_reaches_the_model(session: Session, backend: DiskBackend) -> None:
    outline = ellipse((64, 64), (20, 20), (5, 9))

    mask = session.segment(0, Prompts(mask=outline))

    np.testing.assert_array_equal(backend.prompts[0].mask, outline)
    np.testing.assert_array_equal(mask.pixels, outline)


def test_many_objects_are_segmented_in_one_batch(session: Session, backend: DiskBackend) -> None:
    masks = session.segment_many(0, {3: CLICK, 8: Prompts(boxes=[(5, 5, 20, 30)])})

    assert {key: mask.object_id for key, mask in masks.items()} == {3: 3, 8: 8}
    assert (backend.encoded, backend.segmented) == (1, 1)


def test_second_click_on_a_frame_reuses_its_embedding(
    session: Session, backend: DiskBackend
) -> None:
    session.segment(0, CLICK)
    session.segment(0, Prompts(points=[(40, 40)]), object_id=2)

    assert (backend.encoded, backend.segmented) == (1, 2)


def test_going_to_another_frame_and_back_encodes_twice(
    session: Session, backend: DiskBackend
) -> None:
    for frame in (1, 2, 1):
        session.segment(frame, Prompts(points=[(30, 12 + frame)]))

    assert backend.encoded == 2


def test_model_sees_what_the_user_sees(session: Session, backend: DiskBackend) -> None:
    session.segment(0, CLICK)

    assert backend.images == [(64, 64, 3)]


def test_repeated_prompts_are_not_decoded_again(session: Session, backend: DiskBackend) -> None:
    first = session.segment(0, CLICK)
    second = session.segment(0, Prompts(points=[(30, 12)]))

    assert backend.segmented == 1
    assert first.pixels is second.pixels


def test_prompts_that_extend_the_last_ones_start_from_its_prediction(
    session: Session, backend: DiskBackend
) -> None:
    session.segment(0, CLICK)
    session.segment(0, Prompts(points=[(30, 12), (9, 9)], positive=[True, False]))

    assert backend.refined[0] is None
    assert backend.refined[1] is not None


@pytest.mark.parametrize(
    ("frame", "object_id", "points"),
    [(1, 1, [(30, 12), (9, 9)]), (0, 2, [(30, 12), (9, 9)]), (0, 1, [(30, 13), (9, 9)])],
)
def test_another_frame_object_or_point_starts_anew(
    session: Session, backend: DiskBackend, frame: int, object_id: int, points: list
) -> None:
    session.segment(0, CLICK)
    session.segment(frame, Prompts(points=points), object_id)

    assert backend.refined == [None, None]


def test_preferred_hypothesis_is_refined_and_propagated(
    session: Session, backend: DiskBackend
) -> None:
    part = session.segment(0, CLICK).alternatives[1]

    session.prefer(0, 1, "part")

    propagated = next(session.propagate({(0, 1): CLICK}))
    session.segment(0, Prompts(points=[(30, 12), (9, 9)]))
    np.testing.assert_array_equal(propagated.pixels, part.pixels)
    assert backend.refined[1].hypotheses[0].name == "part"


def test_preferring_without_a_prediction_changes_nothing(session: Session) -> None:
    session.prefer(0, 1, "part")

    assert session.segment(0, CLICK).alternatives[0].name == "whole"


@pytest.mark.parametrize("forget", [Session.reset, lambda session: session.remove(1)])
def test_forgotten_object_starts_anew(session: Session, backend: DiskBackend, forget) -> None:
    session.segment(0, CLICK)
    forget(session)
    session.segment(0, Prompts(points=[(30, 12), (9, 9)]))

    assert backend.refined == [None, None]


def test_removing_an_object_leaves_the_rest(session: Session, backend: DiskBackend) -> None:
    session.segment(0, CLICK, object_id=2)
    session.remove(1)
    session.segment(0, CLICK, object_id=2)

    assert backend.segmented == 1


def test_everything_of_a_frame_is_detected(session: Session, backend: DiskBackend) -> None:
    session.segment(3, CLICK)

    found = session.everything(3)

    assert (found.frame, len(found), backend.encoded) == (3, 1, 1)
    np.testing.assert_array_equal(found.labels() > 0, MOVIE[3] > 100)


def test_point_outside_the_image_never_reaches_the_model(
    session: Session, backend: DiskBackend
) -> None:
    with pytest.raises(PromptError, match="outside the image"):
        session.segment(0, Prompts(points=[(30, 64)]))

    assert (backend.encoded, backend.segmented) == (0, 0)


@pytest.mark.parametrize(
    "use",
    [
        lambda session, prompts: session.segment(0, prompts),
        lambda session, prompts: next(session.propagate({(0, 1): prompts})),
    ],
)
def test_box_that_leaves_the_image_is_cut_off_before_it_reaches_the_model(
    session: Session, backend: DiskBackend, use
) -> None:
    use(session, Prompts(boxes=[(-200, -np.inf, 35, 300)]))

    assert backend.prompts[0].boxes.tolist() == [[-0.5, -0.5, 35, 63.5]]


@pytest.mark.parametrize(
    "use",
    [
        lambda session: session.segment(10, CLICK),
        lambda session: session.everything(-1),
        lambda session: session.propagate({(0, 1): CLICK}, range(11)),
        lambda session: session.propagate({(0, 1): CLICK}, range(3, -2, -1)),
        lambda session: session.propagate({(12, 1): CLICK}),
        lambda session: session.find(10, text="nucleus"),
    ],
)
def test_frame_outside_the_stack_is_named(session: Session, use) -> None:
    with pytest.raises(FramesError, match=r"no frame .*: the stack has frames 0 to 9"):
        use(session)


@pytest.mark.parametrize(
    "use",
    [
        lambda session, frame: session.segment(frame, CLICK).frame,
        lambda session, frame: next(session.propagate({(frame, 1): CLICK}, range(3, 5))).frame,
        lambda session, frame: session.everything(frame).frame,
        lambda session, frame: next(session.encode(np.array([frame]))),
    ],
)
def test_frames_may_be_integers_of_numpy(backend: DiskBackend, tmp_path: Path, use) -> None:
    engine = Engine(backend, Budgets(2**20, disk=2**24))
    session = engine.open(MOVIE, tmp_path)

    result = use(session, np.int64(3))
    session.close()

    assert type(result) is int
    assert result == 3
    assert engine.embeddings.on_disk > 0


@pytest.mark.parametrize(
    "use",
    [
        lambda session: session.segment(1.5, CLICK),
        lambda session: session.propagate({(1.5, 1): CLICK}),
        lambda session: session.encode([0, 1.5]),
        lambda session: session.is_ready(1.5),
    ],
)
def test_frame_that_is_no_whole_number_is_refused(session: Session, use) -> None:
    with pytest.raises(FramesError, match=r"whole number, not 1\.5"):
        use(session)


@pytest.mark.parametrize("given", [Prompts(points=[(99, 0)]), mask_of(np.ones((9, 9), bool))])
def test_propagation_refuses_what_does_not_fit_before_it_starts(session: Session, given) -> None:
    with pytest.raises(PromptError):
        session.propagate({(0, 1): CLICK, (9, 1): given})


@pytest.mark.parametrize(
    "use",
    [
        lambda session: session.find(0, text="nucleus"),
        lambda session: session.find_all(text="nucleus"),
    ],
)
def test_model_that_reads_no_text_names_one_that_does(session: Session, use) -> None:
    with pytest.raises(ModelError, match=r"disks reads no text.*facebook/sam3"):
        use(session)


@pytest.mark.parametrize(
    "use",
    [
        lambda session: session.find(0, exemplars=[(0, 0, 9, 9)]),
        lambda session: session.find_all(exemplars=[(0, 0, 9, 9)]),
        lambda session: session.exemplar(0, (0, 0, 9, 9)),
    ],
)
def test_model_that_reads_no_exemplars_names_one_that_does(session: Session, use) -> None:
    with pytest.raises(ModelError, match=r"disks cannot find what is like.*embedded"):
        use(session)


def test_closed_session_raises_an_error(session: Session) -> None:
    masks = session.propagate({(0, 1): CLICK})
    next(masks)
    session.close()

    with pytest.raises(Sam3Error, match="session is closed"):
        session.segment(0, CLICK)
    with pytest.raises(Sam3Error, match="session is closed"):
        next(masks)


def test_propagation_starts_from_the_mask_the_user_saw(
    session: Session, backend: DiskBackend
) -> None:
    shown = session.segment(0, CLICK)

    first = next(session.propagate({(0, 1): CLICK}))

    assert first.pixels is shown.pixels
    assert backend.segmented == 1


def test_stopped_propagation_keeps_the_yielded_masks_and_the_session(
    session: Session, backend: DiskBackend
) -> None:
    with closing(session.propagate({(0, 1): CLICK})) as masks:
        kept = [next(masks) for _ in range(4)]

    assert [mask.frame for mask in kept] == [0, 1, 2, 3]
    assert backend.encoded == 4
    assert session.segment(7, CLICK).area > 0


def test_click_is_segmented_between_two_frames_of_a_propagation(session: Session) -> None:
    masks = session.propagate({(0, 1): CLICK})
    next(masks)

    result = session.segment(5, Prompts(points=[(20, 20)]), object_id=2)

    assert result.area > 0
    assert next(masks).frame == 1


def test_two_threads_encode_a_frame_once(session: Session, backend: DiskBackend) -> None:
    backend.gate.clear()

    with ThreadPoolExecutor(4) as pool:
        clicks = [pool.submit(session.segment, 0, CLICK, number) for number in range(4)]
        backend.gate.set()
        [click.result(10) for click in clicks]

    assert backend.encoded == 1


def test_reading_a_frame_blocks_no_click(backend: DiskBackend) -> None:
    engine = Engine(backend)
    quick = engine.open(MOVIE)
    result: list[Mask] = []

    def read(frame: int) -> np.ndarray:
        if frame == 1 and not result:
            result.append(quick.segment(0, CLICK))
        return MOVIE[frame][..., None]

    slow = engine.open(Frames(10, (64, 64), 1, read), contrast=quick.contrast)
    slow.segment(1, CLICK)

    assert len(result) == 1


class CountingStore(zarr.storage.MemoryStore):
    """Counts how often chunks are read."""

    chunk_reads = 0

    async def get(self, key, prototype, byte_range=None):
        self.chunk_reads += "c/" in key
        return await super().get(key, prototype, byte_range)


@pytest.mark.parametrize("prompted", [0, 4, 9])
def test_opening_and_propagating_reads_each_zarr_chunk_once(engine: Engine, prompted: int) -> None:
    store = CountingStore()
    movie = zarr.create_array(store, shape=MOVIE.shape, chunks=(1, 64, 64), dtype=MOVIE.dtype)
    movie[:] = MOVIE
    store.chunk_reads = 0

    list(engine.open(movie).propagate({(prompted, 1): click_on_disk(prompted)}))

    assert store.chunk_reads == len(MOVIE)


@pytest.mark.parametrize("cache_bytes", [0, 2**30])
def test_opening_and_propagating_reads_each_dask_chunk_once(
    backend: DiskBackend, cache_bytes: int
) -> None:
    read: list[int] = []

    def fetch(block_info=None) -> np.ndarray:
        index = block_info[None]["chunk-location"][0]
        read.append(index)
        return MOVIE[index : index + 1]

    chunks = ((1,) * 10, (64,), (64,))
    movie = da.map_blocks(fetch, chunks=chunks, dtype=MOVIE.dtype, meta=MOVIE[:0])
    with dask.config.set(scheduler="synchronous"):
        session = Engine(backend, Budgets(cache_bytes)).open(movie)
        list(session.propagate({(4, 1): click_on_disk(4)}))

    assert sorted(read) == list(range(10))


def test_memory_is_flat_over_many_frames(backend: DiskBackend) -> None:
    def read(frame: int) -> np.ndarray:
        return MOVIE[0][..., None].copy()

    engine = Engine(backend, Budgets(10 * 64 * 64 * 4))
    session = engine.open(Frames(300, (64, 64), 1, read))
    backend.images.clear()
    masks = session.propagate({(0, 1): CLICK})

    tracemalloc.start()
    nbytes = []
    for mask in masks:
        if mask.frame in (20, 299):
            gc.collect()
            nbytes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()

    frame_bytes = 64 * 64 * 4
    assert nbytes[1] - nbytes[0] < 5 * frame_bytes
    assert engine.embeddings.nbytes <= engine.embeddings.max_bytes


def test_model_that_reads_concepts_searches_every_frame() -> None:
    backend = DiskBackend(reads_text=True, reads_exemplars=True)
    session = Engine(backend).open(MOVIE)

    found = list(session.find_all(text="nucleus", exemplars=[(20, 0, 40, 22)]))

    assert [candidates.frame for candidates in found] == list(range(10))
    assert backend.encoded == 10
    assert backend.concepts[0].text == "nucleus"
    assert backend.concepts[9].shown[0].appearance["grey"].shape == (20, 22)


@pytest.mark.parametrize("text", [None, "  "])
def test_empty_concept_is_refused(text: str | None) -> None:
    session = Engine(DiskBackend(reads_text=True)).open(MOVIE)

    with pytest.raises(PromptError, match="type a text or draw a box"):
        session.find(0, text=text)
