"""Candidates are ranked by phrases, on images and on frames too large to be read at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam3.engine.backends.clip import enhanced_phrases
from napari_sam3.engine.backends.clip.clip import (
    SUGGESTED_FROM,
    Clip,
    Phrase,
    TextWeights,
    ranked_on_frame,
    split_phrases,
    suggested_on_frame,
)
from napari_sam3.engine.backends.clip.enhanced_phrases import EnhancedPhrases
from napari_sam3.engine.images.contrast import Contrast
from napari_sam3.engine.images.frames import Frames
from napari_sam3.engine.images.model_input import ModelInput
from napari_sam3.values.candidates import Candidates
from napari_sam3.values.errors import PromptError
from tests.clips import NAMES, ColourModel

PHRASES = EnhancedPhrases(
    words={"red": ("ruby red",), "green": ("grass green",), "blue": ("sky blue",)},
    templates=("image of {}", "{}"),
    otherwise=("background", "debris"),
)
RED = Phrase.parse("red")


@pytest.fixture
def model() -> ColourModel:
    return ColourModel()


@pytest.fixture
def clip(model: ColourModel) -> Clip:
    return Clip(model, PHRASES)


@pytest.fixture
def image() -> np.ndarray:
    """Return squares of red, green and blue beside each other, on black."""
    image = np.zeros((40, 120, 3), np.float32)
    for colour in range(3):
        image[10:30, 40 * colour + 10 : 40 * colour + 30, colour] = 1
    return image


@pytest.fixture
def candidates() -> Candidates:
    boxes = np.array([[10, 40 * n + 10, 30, 40 * n + 30] for n in range(3)])
    masks = tuple(np.ones((20, 20), bool) for _ in range(3))
    return Candidates((40, 120), boxes, masks, np.array([0.5, 0.9, 0.7]))


def test_the_candidate_that_a_phrase_describes_comes_first(clip, image, candidates):
    ranked = clip.ranked(image, candidates, Phrase.parse("blue"))

    assert ranked.scores.argmax() == 2
    assert ranked.scores[2] > 0.5 > max(ranked.scores[:2])
    assert ranked.boxes is candidates.boxes


def test_scores_are_mixed_of_similarity_and_predicted_overlap(clip, image, candidates):
    similarities = clip.similarities(image, candidates, RED)

    ranked = clip.ranked(image, candidates, RED)

    np.testing.assert_allclose(ranked.scores, 0.6 * similarities + 0.4 * candidates.scores)


def test_weights_can_be_changed_without_encoding_again(clip, image, candidates, model):
    clip.ranked(image, candidates, RED)

    ranked = clip.weighing(TextWeights(0, 1)).ranked(image, candidates, RED)

    np.testing.assert_allclose(ranked.scores, candidates.scores)
    assert model.image_batches == 1
    assert clip.weights == TextWeights()


@pytest.mark.parametrize("weights", [(-1, 2), (0, 0)])
def test_weights_without_sense_are_refused(weights):
    with pytest.raises(PromptError, match="must not be negative"):
        TextWeights(*weights)


def test_another_phrase_costs_only_its_own_encoding(clip, image, candidates, model):
    clip.ranked(image, candidates, RED)
    model.texts.clear()

    clip.ranked(image, candidates, Phrase.parse("blue"))

    assert model.image_batches == 1
    assert model.text_batches == 2
    assert model.texts == ["image of blue", "blue", "sky blue"]


def test_all_words_are_encoded_in_one_batch(clip, image, candidates, model):
    clip.ranked(image, candidates, Phrase.parse("red or green, not blue"))

    assert (model.image_batches, model.text_batches) == (1, 1)


def test_some_of_the_candidates_are_not_encoded_again(clip, image, candidates, model):
    clip.ranked(image, candidates, RED)

    clip.ranked(image, candidates.taken([2, 0]), RED)

    assert len(model.image_shapes) == 3


def test_another_image_is_encoded_anew(clip, image, candidates, model):
    clip.ranked(image, candidates, RED)

    clip.ranked(image[..., ::-1], candidates, RED)

    assert len(model.image_shapes) == 6


def test_a_changed_mask_is_encoded_anew(clip, image, candidates, model):
    clip.ranked(image, candidates, RED)
    smaller = candidates.masks[0].copy()
    smaller[0] = False

    clip.ranked(image, replace(candidates, masks=(smaller, *candidates.masks[1:])), RED)

    assert len(model.image_shapes) == 4


def test_a_candidate_similar_to_nothing_is_below_a_half(clip, image, candidates):
    similarities = clip.similarities(np.zeros_like(image), candidates, RED)

    assert (similarities < 0.5).all()


def test_what_is_unwanted_loses(clip, candidates):
    purple = np.zeros((40, 120, 3), np.float32)
    purple[..., 0], purple[..., 2] = 1, 0.9

    wanted = clip.similarities(purple, candidates, RED)
    with_unwanted = clip.similarities(purple, candidates, Phrase.parse("red, not blue"))

    assert (with_unwanted < wanted - 0.1).all()


def test_any_of_several_words_counts(clip, image, candidates):
    similarities = clip.similarities(image, candidates, Phrase.parse("red or blue"))

    assert (similarities > 0.5).tolist() == [True, False, True]


def test_alternatives_never_have_all_the_shares(clip, image, candidates):
    all_words = clip.similarities(image, candidates, Phrase.parse("red or green or blue"))

    assert (all_words < 1).all()
    assert (all_words > 0.5).all()


def test_no_candidates_cost_nothing(clip, image, candidates, model):
    ranked = clip.ranked(image, candidates.taken([]), RED)

    assert len(ranked) == 0
    assert (model.image_batches, model.text_batches) == (0, 0)


def test_a_phrase_that_cannot_be_read_is_refused_before_anything_is_encoded(
    clip, image, candidates, model
):
    with pytest.raises(PromptError, match="too long"):
        clip.ranked(image, candidates, Phrase.parse(f"red, not {'very ' * 20}blue"))

    assert model.image_batches == 0


def test_words_that_fit_accepted_candidates_are_suggested(clip, image, candidates):
    suggested = clip.suggestions(image, candidates, [1])

    assert suggested[0][0] == "green"
    assert suggested[0][1] > 0.5 > suggested[1][1]
    assert {phrase for phrase, _ in suggested} == set(NAMES)


def test_suggestions_are_taken_from_given_phrases(clip, image, candidates):
    suggested = clip.suggestions(image, candidates, [0, 2], ["blue", "green", "dark red"])

    assert {phrase for phrase, _ in suggested[:2]} == {"blue", "dark red"}
    assert sum(share for _, share in suggested) < 1


def test_a_suggestion_encodes_some_of_many_candidates(clip, image, candidates, model):
    many = candidates.taken([0] * 100)
    boxes = many.boxes + np.arange(100)[:, None] % 60 * [0, 1, 0, 1]

    clip.suggestions(image, replace(many, boxes=boxes), range(100))

    assert 10 <= len(model.image_shapes) <= SUGGESTED_FROM


def test_nothing_accepted_suggests_nothing(clip, image, candidates):
    assert clip.suggestions(image, candidates, []) == []


def test_phrases_that_the_user_edits_count_at_once(image, candidates, model, tmp_path, monkeypatch):
    file = tmp_path / "phrases.toml"
    monkeypatch.setattr(enhanced_phrases, "edited_file", lambda: file)
    clip = Clip(model)
    before = clip.similarities(image, candidates, Phrase.parse("object"))

    file.write_text('[words]\nobject = ["red", "red one", "red two", "red three"]')
    after = clip.similarities(image, candidates, Phrase.parse("objects"))

    assert before[0] < 0.5 < after[0]


def test_a_model_of_many_languages_has_no_remark(clip, model):
    many = Clip(replace(model, is_multilingual=True), PHRASES)

    assert clip.remark("noyau de la cellule") != ""
    assert many.remark("noyau de la cellule") == ""


SIDE = 2000
CORNERS = [(100, 100), (100, 1500), (960, 960), (1980, 1980)]
RED_FRAMES = Phrase.parse("red")


@pytest.fixture
def model_input() -> ModelInput:
    """Return a large frame with squares that are red and blue in turn."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for n, (row, col) in enumerate(CORNERS):
        image[row : row + 20, col : col + 20, 2 * (n % 2)] = 255
    frames = Frames.from_array(image[None])
    return ModelInput(frames, Contrast.estimate(frames), 0)


@pytest.fixture
def candidates_of_frames() -> Candidates:
    boxes = np.array([[row, col, row + 20, col + 20] for row, col in CORNERS])
    masks = tuple(np.ones((20, 20), bool) for _ in CORNERS)
    return Candidates((SIDE, SIDE), boxes, masks, np.full(len(CORNERS), 0.7))


@pytest.fixture
def clip_of_frames() -> Clip:
    return Clip(ColourModel(), EnhancedPhrases({}, ("{}",), ("background",)))


def test_a_large_frame_gives_the_scores_of_a_whole_one(
    model_input, candidates_of_frames, clip_of_frames, monkeypatch
):
    whole = ranked_on_frame(clip_of_frames, model_input, candidates_of_frames, RED_FRAMES)
    monkeypatch.setattr(model_input.frames, "is_large", True)

    tiled = ranked_on_frame(clip_of_frames, model_input, candidates_of_frames, RED_FRAMES)

    np.testing.assert_allclose(tiled.scores, whole.scores, atol=1e-6)
    assert (tiled.scores > 0.6).tolist() == [True, False, True, False]
    assert tiled.boxes is candidates_of_frames.boxes


def test_only_tiles_with_candidates_are_read(
    model_input, candidates_of_frames, clip_of_frames, monkeypatch
):
    monkeypatch.setattr(model_input.frames, "is_large", True)
    read = []
    window_of = Frames.read_window
    monkeypatch.setattr(
        Frames, "read_window", lambda *args: (read.append(args[2]), window_of(*args))[1]
    )
    monkeypatch.setattr(Frames, "read", None)

    ranked_on_frame(clip_of_frames, model_input, candidates_of_frames.taken([0, 3]), RED_FRAMES)

    assert len(read) == 2
    assert max(window.height for window in read) < SIDE


def test_a_candidate_larger_than_a_tile_is_cropped_to_its_tile(
    model_input, candidates_of_frames, clip_of_frames, monkeypatch
):
    monkeypatch.setattr(model_input.frames, "is_large", True)
    huge = Candidates(
        (SIDE, SIDE), np.array([[0, 0, SIDE, SIDE]]), (np.ones((SIDE, SIDE), bool),), np.ones(1)
    )

    ranked = ranked_on_frame(clip_of_frames, model_input, huge, RED_FRAMES)

    assert 0 < ranked.scores[0] < 1


def test_no_candidates_read_nothing(model_input, candidates_of_frames, clip_of_frames, monkeypatch):
    monkeypatch.setattr(Frames, "read", None)

    none = candidates_of_frames.taken([])

    assert len(ranked_on_frame(clip_of_frames, model_input, none, RED_FRAMES)) == 0


def test_phrases_are_suggested_from_one_tile_of_a_large_frame(
    model_input, candidates_of_frames, monkeypatch
):
    monkeypatch.setattr(model_input.frames, "is_large", True)
    monkeypatch.setattr(Frames, "read", None)
    phrases = EnhancedPhrases({"red": ("red",), "blue": ("blue",)}, ("{}",), ("background",))
    clip_of_frames = Clip(ColourModel(), phrases)

    suggested = suggested_on_frame(clip_of_frames, model_input, candidates_of_frames, [1])

    assert suggested[0][0] == "blue"
    assert suggested_on_frame(clip_of_frames, model_input, candidates_of_frames, []) == []


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("nucleus", ("nucleus",), ()),
        ("  Yeast   cell. ", ("Yeast cell",), ()),
        ("nucleus, not debris", ("nucleus",), ("debris",)),
        ("nucleus not debris", ("nucleus",), ("debris",)),
        ("nucleus, but not debris, dust and bubbles", ("nucleus",), ("debris", "dust", "bubbles")),
        ("nucleus without halo or dust", ("nucleus",), ("halo", "dust")),
        ("nucleus, not debris, not dust", ("nucleus",), ("debris", "dust")),
        ("yeast or bacterium or yeast", ("yeast", "bacterium"), ()),
        ("small, round nucleus", ("small, round nucleus",), ()),
        ("knot of notochord cells", ("knot of notochord cells",), ()),
        ("细胞", ("细胞",), ()),
    ],
)
def test_a_phrase_says_what_is_meant_and_what_is_not(
    text: str, wanted: tuple[str, ...], unwanted: tuple[str, ...]
) -> None:
    assert Phrase.parse(text) == Phrase(wanted, unwanted)


@pytest.mark.parametrize("text", ["nucleus", "nucleus or cell, not debris or dust"])
def test_a_phrase_is_written_as_it_is_typed(text: str) -> None:
    assert str(Phrase.parse(text)) == text


def test_a_phrase_that_only_refuses_is_refused() -> None:
    with pytest.raises(PromptError, match=r"'not debris' says only what is not meant"):
        Phrase.parse("not debris")


@pytest.mark.parametrize("text", ["", "  ", ";", " ,. "])
def test_no_words_are_no_phrase(text: str) -> None:
    with pytest.raises(PromptError, match="Nothing says what to find"):
        split_phrases(text)


def test_several_kinds_are_split_and_each_is_named_once() -> None:
    phrases = split_phrases("nucleus, not debris; yeast cell;\nnucleus, not debris;")

    assert [str(phrase) for phrase in phrases] == ["nucleus, not debris", "yeast cell"]
