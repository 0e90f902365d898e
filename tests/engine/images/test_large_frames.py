from __future__ import annotations

import gc
from collections.abc import Iterable

import numpy as np
import psutil
import pytest
from scipy import ndimage

from napari_sam3.engine import (
    Channel,
    Contrast,
    Engine,
    Frames,
    Mask,
    PromptError,
    Prompts,
    Session,
)
from napari_sam3.engine.backends.base import Prediction
from napari_sam3.engine.cache.budgets import Budgets
from napari_sam3.engine.images.frames import Window
from napari_sam3.engine.images.tiling import WINDOW_MARGIN, WINDOW_SIDE
from napari_sam3.engine.interactive import PromptQuery, PromptState
from napari_sam3.samples import dividing_cells
from napari_sam3.values.masks import named_hypotheses
from tests.backends import DiskBackend, DiskEmbedding, ellipse
from tests.large_images import disks, pyramid, repeated
from tests.masks import mask_of

HUGE = (20000, 20000)
SEEN = Contrast((Channel((0, 255)),))
MEGABYTE = 2**20


class RegionBackend(DiskBackend):
    """Predicts the bright region under the clicks, and half of it."""

    def segment(self, embedding: DiskEmbedding, prompts, previous) -> list[Prediction]:
        self.prompts.extend(prompts)
        self.refined.extend(previous)
        return [self._region(embedding, own) for own in prompts]

    def _region(self, embedding: DiskEmbedding, prompts: Prompts) -> Prediction:
        regions, _ = ndimage.label(embedding.grey > self.bright)
        row, col = np.rint(prompts.points[0]).astype(int)
        mask = (regions == regions[row, col]) & (regions > 0)
        upper = mask & (np.arange(len(mask)) < row)[:, None]
        return Prediction(named_hypotheses([mask_of(mask, 0.9), mask_of(upper, 0.8)]))


def click(row: float, col: float, *more: tuple[float, float]) -> Prompts:
    return Prompts(points=[(row, col), *more], positive=[True] + [False] * len(more))


def opened(backend: DiskBackend, *levels: object) -> Session:
    return Engine(backend).open(Frames.from_levels(levels), contrast=SEEN)


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth))


def by_frame(masks: Iterable[Mask]) -> dict[int, Mask]:
    return {mask.frame: mask for mask in masks}


def middle(mask: Mask) -> tuple[float, float]:
    row, col = ndimage.center_of_mass(mask.crop)
    return row + mask.box[0], col + mask.box[1]


@pytest.fixture
def stack():
    return disks([[(7000.0, 9000.0)]], 30, HUGE)


@pytest.mark.parametrize("point", [(7000, 9000), (0, 0), (19999, 19999), (3, 12345), (1023, 1024)])
def test_mask_of_a_click_is_in_pixels_of_the_frame(backend: DiskBackend, stack, point) -> None:
    mask = opened(backend, stack).segment(0, click(*point))

    drawn = np.argwhere(ellipse((13, 13), (6, 6), (6, 6))) - 6 + point
    drawn = drawn[((drawn >= 0) & (drawn < 20000)).all(1)]
    np.testing.assert_array_equal(np.argwhere(mask.crop) + mask.box[:2], drawn)
    assert (mask.shape, mask.area) == (HUGE, len(drawn))


def test_all_pixels_of_a_mask_are_laid_out_when_asked_for(backend: DiskBackend) -> None:
    mask = opened(backend, disks([[(900.0, 900.0)]], 30, (3000, 3000))).segment(0, click(900, 900))

    np.testing.assert_array_equal(mask.pixels, ellipse((3000, 3000), (900, 900), (6, 6)))
    np.testing.assert_array_equal(np.asarray(mask.alternatives[0]), mask.pixels)
    with pytest.raises(ValueError, match="read-only"):
        mask.pixels[0, 0] = True


def test_click_reads_no_more_than_its_window(backend: DiskBackend, stack) -> None:
    opened(backend, stack).segment(0, click(7000, 9000))

    assert stack.largest == WINDOW_SIDE**2
    assert set(stack.chunks_read.values()) == {1}
    assert len(stack.chunks_read) <= (WINDOW_SIDE // stack.side + 1) ** 2
    assert backend.images == [(WINDOW_SIDE, WINDOW_SIDE, 3)]


def test_clicks_near_each_other_share_an_embedding(backend: DiskBackend, stack) -> None:
    session = opened(backend, stack)

    for object_id, col in enumerate([9000, 9100, 8900, 9120, 8880]):
        session.segment(0, click(7000, col), object_id)

    assert (backend.encoded, backend.segmented) == (1, 5)


def test_many_objects_of_a_window_are_segmented_in_one_batch(backend: DiskBackend, stack) -> None:
    prompts = {1: click(7000, 9000), 2: click(500, 500), 3: click(7010, 9010)}

    masks = opened(backend, stack).segment_many(0, prompts)

    assert (backend.encoded, backend.segmented) == (2, 2)
    assert {i: middle(mask) for i, mask in masks.items()} == {
        1: (7000, 9000),
        2: (500, 500),
        3: (7010, 9010),
    }


def test_repeated_prompts_are_not_decoded_again(backend: DiskBackend, stack) -> None:
    session = opened(backend, stack)

    first, second = (session.segment(0, click(7000, 9000)) for _ in range(2))

    assert backend.segmented == 1
    np.testing.assert_array_equal(first.crop, second.crop)


def test_next_click_in_the_same_window_refines_the_prediction(backend: DiskBackend, stack) -> None:
    session = opened(backend, stack)
    session.segment(0, click(7000, 9000))

    session.segment(0, click(7000, 9000, (7300, 9000)))

    assert backend.encoded == 1
    assert backend.refined[1] is not None


def test_next_click_off_the_window_starts_from_the_mask_so_far(backend: DiskBackend, stack) -> None:
    session = opened(backend, stack)
    session.segment(0, click(7000, 9000))

    mask = session.segment(0, click(7000, 9000, (7900, 9000)))

    assert backend.refined == [None, None]
    assert backend.prompts[1].mask is not None
    assert backend.prompts[1].mask.any()
    assert len(backend.prompts[1].points) == 2
    assert middle(mask) == pytest.approx((7000, 9000), abs=2)


def test_what_is_visible_tells_on_which_level_a_click_is_decoded(
    backend: DiskBackend, stack
) -> None:
    mask = opened(backend, stack).segment(0, click(7000, 9000), visible=(0, 0, 8000, 12000))

    assert stack.largest > WINDOW_SIDE**2
    assert mask.area == pytest.approx(np.pi * 48**2, rel=0.1)
    assert middle(mask) == pytest.approx((7000, 9000), abs=8)


def test_preferred_hypothesis_is_propagated(backend: DiskBackend, stack) -> None:
    session = opened(backend, stack)
    part = session.segment(0, click(7000, 9000)).alternatives[1]

    session.prefer(0, 1, "part")

    propagated = next(session.propagate({(0, 1): click(7000, 9000)}))
    assert (propagated.area, propagated.box) == (part.area, part.box)


@pytest.mark.parametrize("radius", [700, 1500])
def test_mask_larger_than_a_window_is_continued(radius: int) -> None:
    backend = RegionBackend()
    levels = [
        disks([[(4000.0 / 2**i, 4000.0 / 2**i)]], radius / 2**i, (8000 >> i,) * 2) for i in range(3)
    ]

    mask = opened(backend, *levels).segment(0, click(4000, 4000))

    assert iou(mask.pixels, ellipse((8000, 8000), (4000, 4000), (radius, radius))) > 0.98
    assert max(level.largest for level in levels) <= WINDOW_SIDE**2


def test_hypothesis_that_its_window_cuts_is_left_out() -> None:
    backend = RegionBackend()
    session = opened(backend, disks([[(4000.0, 4000.0)]], 300, (8000, 8000)))

    whole = session.segment(0, click(4000, 4000))
    backend.bright = -1
    everywhere = session.segment(0, click(1000, 1000), 2)

    assert len(whole.alternatives) == 2
    assert len(everywhere.alternatives) == 1


def test_mask_of_another_object_in_a_wider_window_is_not_taken() -> None:
    class Forgetful(RegionBackend):
        def segment(self, embedding, prompts, previous):
            self.bright = 0.5 if not self.prompts else 2.0
            return super().segment(embedding, prompts, previous)

    session = opened(Forgetful(), disks([[(4000.0, 4000.0)]], 900, (8000, 8000)))

    mask = session.segment(0, click(4000, 4000))

    assert mask.box[2] - mask.box[0] == WINDOW_SIDE


def test_what_is_kept_of_a_prediction_is_small() -> None:
    pixels = ellipse((WINDOW_SIDE, WINDOW_SIDE), (500, 500), (20, 20))
    window = Window(0, 0, 0, WINDOW_SIDE, WINDOW_SIDE)

    state = PromptState.of(
        PromptQuery(click(500, 500), click(500, 500), None, window),
        Prediction((mask_of(pixels, 0.9),)),
    )

    assert state.prediction.nbytes == 41**2
    assert state.prediction.hypotheses[0].shape == (WINDOW_SIDE, WINDOW_SIDE)
    np.testing.assert_array_equal(state.prediction.pixels, pixels)


def test_outline_of_a_patch_is_decoded_without_the_rest_of_the_frame(
    backend: DiskBackend, stack
) -> None:
    drawn = ellipse((200, 300), (100, 150), (60, 90))
    outline = mask_of(drawn, corner=(7000, 9000), shape=HUGE)
    session = opened(backend, stack)

    mask = session.segment(0, Prompts(mask=outline))

    np.testing.assert_array_equal(mask.crop, drawn[40:161, 60:241])
    assert mask.box == (7040, 9060, 7161, 9241)
    assert backend.prompts[0].mask.shape == (WINDOW_SIDE, WINDOW_SIDE)
    assert session.segment(0, Prompts(mask=outline)).area == mask.area
    assert backend.segmented == 1


def test_outline_of_a_patch_may_be_a_prompt_on_a_small_frame(backend: DiskBackend) -> None:
    drawn = ellipse((20, 30), (10, 15), (6, 9))
    outline = mask_of(drawn, corner=(7, 9), shape=(64, 64))

    mask = opened(backend, np.zeros((64, 64), np.uint8)).segment(0, Prompts(mask=outline))

    np.testing.assert_array_equal(mask.pixels, outline.pixels)


def test_outline_of_another_frame_is_refused(backend: DiskBackend, stack) -> None:
    outline = mask_of(np.ones((9, 9), bool), corner=(0, 0), shape=(64, 64))

    with pytest.raises(PromptError, match="made for"):
        opened(backend, stack).segment(0, Prompts(mask=outline))


def moving(count: int, step: float = 40.0) -> list[list[tuple[float, float]]]:
    return [[(7000.0, 9000.0 + step * frame)] for frame in range(count)]


@pytest.mark.parametrize("prompted", [0, 8])
def test_object_is_propagated_from_window_to_window(prompted: int) -> None:
    backend = DiskBackend(radius=30, reach=60)
    centres = moving(16)
    session = opened(backend, disks(centres, 30, HUGE))

    masks = by_frame(session.propagate({(prompted, 1): click(*centres[prompted][0])}))

    assert [middle(masks[frame]) for frame in range(16)] == [points[0] for points in centres]
    new_windows = 15 * 40 // (WINDOW_SIDE // 2 - WINDOW_MARGIN // 2 - WINDOW_SIDE // 8) + 1
    assert 16 < backend.encoded <= 16 + new_windows


def test_object_that_stays_is_propagated_in_one_window(backend: DiskBackend) -> None:
    stack = disks(moving(8, 2.0), 30, HUGE)

    list(opened(backend, stack).propagate({(0, 1): click(7000, 9000)}))

    assert (backend.encoded, backend.propagated) == (8, 7)
    assert set(stack.chunks_read.values()) == {1}


def test_objects_in_one_window_share_its_embedding(backend: DiskBackend) -> None:
    centres = [[(7000.0, 9000.0), (7100.0, 9000.0), (500.0, 500.0)]] * 4
    prompted = {(0, i): click(*centre) for i, centre in enumerate(centres[0])}

    masks = list(opened(backend, disks(centres, 30, HUGE)).propagate(prompted))

    assert len(masks) == 12
    assert (backend.encoded, backend.propagated) == (8, 6)


def test_object_that_is_gone_is_not_propagated_any_further(backend: DiskBackend) -> None:
    centres = [*moving(3, 2.0), *[[(100.0, 100.0)]] * 5]

    masks = by_frame(
        opened(backend, disks(centres, 30, HUGE)).propagate({(0, 1): click(7000, 9000)})
    )

    assert [masks[frame].area > 0 for frame in range(8)] == [True] * 3 + [False] * 5
    assert (backend.encoded, masks[7].shape) == (5, HUGE)


def test_painted_mask_of_a_large_frame_is_propagated(backend: DiskBackend) -> None:
    shape = (3000, 2500)
    centres = [[(1200.0, 1000.0 + 3 * frame)] for frame in range(3)]
    painted = mask_of(ellipse(shape, (1200, 1000), (30, 30)))

    masks = by_frame(opened(backend, disks(centres, 30, shape)).propagate({(0, 1): painted}))

    assert [middle(masks[frame]) for frame in range(3)] == [points[0] for points in centres]
    assert masks[0].crop.shape < shape


def test_empty_mask_of_a_large_frame_ends_an_object(backend: DiskBackend) -> None:
    nothing = mask_of(np.zeros((0, 0), bool), frame=1, corner=(0, 0), shape=HUGE)
    stack = disks(moving(4, 2.0), 30, HUGE)

    masks = by_frame(opened(backend, stack).propagate({(0, 1): click(7000, 9000), (1, 1): nothing}))

    assert [masks[frame].area > 0 for frame in range(4)] == [True, False, False, False]


@pytest.mark.parametrize("levels", [1, 6])
def test_huge_stack_is_opened_clicked_and_propagated_in_little_memory(levels: int) -> None:
    sample = dividing_cells()
    stored = pyramid(sample.image[:3], HUGE, levels)
    row, col = np.array(ndimage.center_of_mass(sample.labels[0] == 5)) + 256 * 40
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss

    session = Engine(DiskBackend(reach=99, bright=0.3), Budgets(2**26)).open(
        Frames.from_levels(stored)
    )
    session.segment(0, click(row, col))
    masks = list(session.propagate({(0, 1): click(row, col)}))

    assert [mask.area > 0 for mask in masks] == [True] * 3
    assert process.memory_info().rss - before < 300 * MEGABYTE
    assert max(level.largest for level in stored) <= WINDOW_SIDE**2


@pytest.fixture(scope="module")
def embedded() -> Engine:
    return Engine.load("embedded", "cpu")


@pytest.mark.parametrize("shift", [(64, 192), (128, 448)])
def test_mask_is_the_same_wherever_the_window_begins(embedded: Engine, shift) -> None:
    sample = dividing_cells()
    point = np.array(ndimage.center_of_mass(sample.labels[0] == 8))
    contrast = Contrast.estimate(Frames.from_array(sample.image[:1]))

    patches = []
    for offset in (np.zeros(2, int), np.array(shift)):
        tile = np.roll(sample.image[:1], offset, (1, 2))
        frames = Frames.from_levels([repeated(tile, (6000, 6000))])
        row, col = point + offset + 2560
        mask = embedded.open(frames, contrast=contrast).segment(0, click(row, col))
        patches.append((mask, np.array(mask.box[:2]) - offset))

    (unmoved, first), (moved, second) = patches
    canvas = [np.zeros((512, 512), bool) for _ in patches]
    for drawn, mask, corner in zip(canvas, (unmoved, moved), (first, second), strict=True):
        top, left = corner - 2560 + 64
        drawn[top : top + mask.crop.shape[0], left : left + mask.crop.shape[1]] = mask.crop
    assert iou(*canvas) > 0.98
    assert unmoved.area > 100
