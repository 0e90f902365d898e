from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Candidates, Exemplar, ModelError
from napari_sam3.engine.backends.embedded.exemplars import (
    Descriptor,
    DescriptorEncoder,
    innermost,
    leniency,
    overlapping_pairs,
    suppress_duplicates,
    with_agreement,
)
from napari_sam3.engine.backends.embedded.feature_pyramid import ZOOM, FeaturePyramid
from napari_sam3.engine.backends.embedded.model import EmbeddedBackend
from napari_sam3.values import Concept, Mask
from tests.backends import ellipse
from tests.masks import mask_of

SHAPE = (160, 176)
CELLS = [(30, 30), (36, 90), (95, 36), (130, 110), (80, 140)]
SPECKS = [(60, 60), (120, 60), (20, 140)]
RADIUS, SPECK = 13, 4
Image = np.ndarray


def cells_image(bright: float = 0.75, speck: float = 0.6) -> Image:
    grey = np.random.default_rng(0).normal(0.1, 0.02, SHAPE)
    for centre in CELLS:
        grey[ellipse(SHAPE, centre, (RADIUS, RADIUS))] = bright
    for centre in SPECKS:
        grey[ellipse(SHAPE, centre, (SPECK, SPECK))] = speck
    return np.repeat(grey.clip(0, 1).astype(np.float32)[..., None], 3, axis=2)


def box(centre: tuple[int, int], radius: float) -> tuple[float, float, float, float]:
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def found_at(found: Candidates, centre: tuple[int, int]) -> float:
    """Return the best score of what lies at a point."""
    row, col = centre
    scores = [
        score
        for (top, left, bottom, right), mask, score in zip(
            found.boxes, found.masks, found.scores, strict=True
        )
        if top <= row < bottom and left <= col < right and mask[row - top, col - left]
    ]
    return max(scores, default=0.0)


def square(top: int, left: int, height: int, width: int, score: float = 0.5) -> Mask:
    return mask_of(np.ones((height, width), bool), score, corner=(top, left), shape=SHAPE)


@pytest.fixture(scope="module")
def backend() -> EmbeddedBackend:
    return EmbeddedBackend.load(device="cpu")


@pytest.fixture(scope="module")
def embedding(backend: EmbeddedBackend) -> FeaturePyramid:
    return backend.encode(cells_image())


def exemplar(backend: EmbeddedBackend, embedding: FeaturePyramid, *area) -> Exemplar:
    appearance = backend.appearance(embedding, box(*area))
    thumbnail = np.zeros((9, 9, 3), np.uint8)
    return Exemplar(appearance, backend.name, backend.revision, thumbnail, (2, 2, 6, 6))


def test_one_box_finds_all_cells_and_no_speck(backend, embedding):
    found = backend.find(embedding, Concept(exemplars=[box(CELLS[0], RADIUS)]))

    assert all(found_at(found, centre) >= 0.5 for centre in CELLS)
    assert all(found_at(found, centre) < 0.5 for centre in SPECKS)
    assert (np.diff(found.scores) <= 0).all()


def test_a_box_around_a_speck_finds_the_specks_and_no_cell(backend, embedding):
    found = backend.find(embedding, Concept(exemplars=[box(SPECKS[0], SPECK + 0.5)]))

    assert all(found_at(found, centre) >= 0.5 for centre in SPECKS)
    assert all(found_at(found, centre) < 0.5 for centre in CELLS)


def test_the_object_in_the_box_is_always_found(backend, embedding):
    found = backend.find(embedding, Concept(exemplars=[box((60, 100), 8)]))

    assert found_at(found, (60, 100)) > 0.9


def test_what_is_similar_to_a_negative_is_not_found(backend, embedding):
    positive, negative = box(CELLS[0], RADIUS), box(CELLS[1], RADIUS)

    found = backend.find(embedding, Concept(exemplars=[positive], negatives=[negative]))

    assert found_at(found, CELLS[0]) > 0.9
    assert found_at(found, CELLS[1]) < 0.5


def test_an_exemplar_of_one_image_finds_cells_on_another(backend, embedding):
    shown = exemplar(backend, embedding, CELLS[0], RADIUS)
    dimmer = backend.encode(cells_image(0.5, 0.4)[:, ::-1].copy())

    found = backend.find(dimmer, Concept(exemplars=[shown]))

    mirrored = [(row, SHAPE[1] - 1 - col) for row, col in CELLS]
    assert all(found_at(found, centre) >= 0.5 for centre in mirrored)


def test_an_exemplar_needs_no_box_to_be_a_negative(backend, embedding):
    speck = exemplar(backend, embedding, SPECKS[0], SPECK)

    found = backend.find(embedding, Concept(exemplars=[box(CELLS[0], RADIUS)], negatives=[speck]))

    assert all(found_at(found, centre) < 0.2 for centre in SPECKS)


def test_texts_are_refused(backend, embedding):
    with pytest.raises(ModelError, match="embedded reads no text"):
        backend.find(embedding, Concept("cell", [box(CELLS[0], RADIUS)]))


def test_a_box_on_a_constant_image_has_finite_scores(backend):
    flat = backend.encode(np.full((64, 64, 3), 0.5, np.float32))

    found = backend.find(flat, Concept(exemplars=[(20, 20, 30, 30)]))

    assert np.isfinite(found.scores).all()
    assert found_at(found, (25, 25)) > 0.9


@pytest.mark.parametrize("first", [-0.4, 63.1])
def test_a_box_in_the_outer_half_of_a_last_pixel_holds_it(backend, first):
    flat = backend.encode(np.full((64, 64, 3), 0.5, np.float32))

    appearance = backend.appearance(flat, (first, first, first + 0.3, first + 0.3))

    assert all(np.isfinite(part).all() for part in appearance.values())


def test_the_finest_scale_can_be_kept_beside_all_coarser_scales(backend, embedding):
    zoomed = embedding.with_zoom(backend._network)

    assert [level.scale for level in zoomed.levels] == embedding.scales
    assert zoomed.scales == embedding.scales
    assert zoomed.levels[0].scale == ZOOM


def test_an_appearance_is_a_few_numbers_that_stay(backend, embedding):
    kept = backend.appearance(embedding, box(CELLS[0], RADIUS))

    descriptor = Descriptor.of(kept)

    assert sum(part.nbytes for part in kept.values()) < 1000
    assert descriptor.similarity(descriptor) == pytest.approx(2, abs=1e-4)


def test_unlike_objects_have_a_low_similarity(backend, embedding):
    cell, same, speck = (
        Descriptor.of(backend.appearance(embedding, box(*area)))
        for area in [(CELLS[0], RADIUS), (CELLS[2], RADIUS), (SPECKS[0], SPECK)]
    )

    assert cell.similarity(same) > 1
    assert cell.similarity(speck) < 0


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_descriptor_is_the_mean_inside(embedding, scale):
    encoder = DescriptorEncoder(embedding, scale)

    left, right = encoder.describe(square(0, 0, 32, 16)), encoder.describe(square(0, 16, 32, 16))
    both = encoder.describe(square(0, 0, 32, 32))

    np.testing.assert_allclose(both.features, (left.features + right.features) / 2, atol=1e-4)
    assert both.elongation == pytest.approx(0)
    assert left.elongation == pytest.approx(np.log(2), abs=0.01)


def test_agreement_is_with_masks_proposed_the_other_way():
    outlined = [square(0, 0, 10, 10), square(0, 1, 10, 10)]
    clicked = [square(0, 5, 10, 10), square(50, 50, 10, 10)]

    proposals = with_agreement(outlined, clicked)

    agreements = [round(proposal.agreement, 3) for proposal in proposals]
    assert agreements == [round(5 / 15, 3), round(6 / 14, 3), round(6 / 14, 3), 0]


def test_pairs_that_overlap_enough_are_compared():
    masks = [square(0, 0, 10, 10), square(0, 5, 10, 10), square(0, 0, 4, 4), square(0, 10, 10, 10)]

    pairs = list(overlapping_pairs(masks, least_iou=0.3))

    assert [pair[:2] for pair in pairs] == [(0, 1), (1, 3)]
    assert [pair[2] for pair in pairs] == [pytest.approx(1 / 3)] * 2


def test_of_two_nearly_equal_masks_the_better_one_is_kept():
    kept = suppress_duplicates(
        [], [square(0, 0, 10, 10, 0.6), square(0, 1, 10, 10, 0.8), square(0, 5, 10, 10)]
    )

    assert [mask.score for mask in kept] == [0.8, 0.5]


def test_an_exemplar_is_kept_before_all_candidates():
    shown = square(0, 0, 10, 10, 0.02)

    kept = suppress_duplicates([shown], [square(0, 0, 10, 9, 0.9), square(30, 30, 10, 10, 0.001)])

    assert kept == [shown]


def test_the_innermost_pixel_of_a_mask_is_far_from_its_border():
    mask = np.zeros((20, 30), bool)
    mask[:, 10:15] = True
    mask[8:13, 10:] = True

    assert innermost(np.ones((9, 9), bool)) == (4, 4)
    assert mask[innermost(mask)]


def test_all_scores_are_raised_where_the_exemplars_are_hardly_recognised():
    shown = [square(0, 0, 10, 10)]
    proposals = with_agreement([square(0, 0, 10, 9), square(50, 50, 10, 10)], [])

    added = [leniency(shown, proposals, np.array([own, 9.0])) for own in (5.0, 3.6, -20.0)]

    assert added == [0, pytest.approx(0.4), 1]
    assert leniency(shown, [], np.zeros(0)) == 1


def test_exemplars_of_another_image_raise_scores_by_half_as_much():
    assert 0 < leniency([], with_agreement([square(0, 0, 10, 9)], []), np.zeros(1)) < 1
