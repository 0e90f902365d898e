from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam3.engine.clip import enhanced_phrases
from napari_sam3.engine.clip.clip import ENOUGH, Clip, TextWeights
from napari_sam3.engine.clip.enhanced_phrases import EnhancedPhrases
from napari_sam3.engine.clip.phrases import Phrase
from napari_sam3.engine.errors import PromptError
from napari_sam3.engine.finding.concepts import Candidates
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
    similar = clip.similarities(image, candidates, RED)

    ranked = clip.ranked(image, candidates, RED)

    np.testing.assert_allclose(ranked.scores, 0.6 * similar + 0.4 * candidates.scores)


def test_weights_can_be_changed_without_looking_again(clip, image, candidates, model):
    clip.ranked(image, candidates, RED)

    ranked = clip.weighing(TextWeights(0, 1)).ranked(image, candidates, RED)

    np.testing.assert_allclose(ranked.scores, candidates.scores)
    assert model.looks == 1
    assert clip.weights == TextWeights()


@pytest.mark.parametrize("weights", [(-1, 2), (0, 0)])
def test_weights_without_sense_are_refused(weights):
    with pytest.raises(PromptError, match="must not be negative"):
        TextWeights(*weights)


def test_another_phrase_costs_only_the_reading_of_it(clip, image, candidates, model):
    clip.ranked(image, candidates, RED)
    model.read.clear()

    clip.ranked(image, candidates, Phrase.parse("blue"))

    assert model.looks == 1
    assert model.readings == 2
    assert model.read == ["image of blue", "blue", "sky blue"]


def test_all_words_are_read_in_one_go(clip, image, candidates, model):
    clip.ranked(image, candidates, Phrase.parse("red or green, not blue"))

    assert (model.looks, model.readings) == (1, 1)


def test_candidates_that_were_chosen_among_those_seen_are_not_looked_at_again(
    clip, image, candidates, model
):
    clip.ranked(image, candidates, RED)

    clip.ranked(image, candidates.taken([2, 0]), RED)

    assert len(model.seen) == 3


def test_another_image_is_looked_at_anew(clip, image, candidates, model):
    clip.ranked(image, candidates, RED)

    clip.ranked(image[..., ::-1], candidates, RED)

    assert len(model.seen) == 6


def test_a_changed_mask_is_looked_at_anew(clip, image, candidates, model):
    clip.ranked(image, candidates, RED)
    smaller = candidates.masks[0].copy()
    smaller[0] = False

    clip.ranked(image, replace(candidates, masks=(smaller, *candidates.masks[1:])), RED)

    assert len(model.seen) == 4


def test_a_candidate_like_nothing_is_below_a_half(clip, image, candidates):
    similar = clip.similarities(np.zeros_like(image), candidates, RED)

    assert (similar < 0.5).all()


def test_what_is_unwanted_loses(clip, candidates):
    purple = np.zeros((40, 120, 3), np.float32)
    purple[..., 0], purple[..., 2] = 1, 0.9

    meant = clip.similarities(purple, candidates, RED)
    refused = clip.similarities(purple, candidates, Phrase.parse("red, not blue"))

    assert (refused < meant - 0.1).all()


def test_any_of_several_words_counts(clip, image, candidates):
    similar = clip.similarities(image, candidates, Phrase.parse("red or blue"))

    assert (similar > 0.5).tolist() == [True, False, True]


def test_shares_of_alternatives_are_those_of_all_that_may_be(clip, image, candidates):
    every = clip.similarities(image, candidates, Phrase.parse("red or green or blue"))

    assert (every < 1).all()
    assert (every > 0.5).all()


def test_no_candidates_cost_nothing(clip, image, candidates, model):
    ranked = clip.ranked(image, candidates.taken([]), RED)

    assert len(ranked) == 0
    assert (model.looks, model.readings) == (0, 0)


def test_a_phrase_that_cannot_be_read_is_refused_before_anything_is_looked_at(
    clip, image, candidates, model
):
    with pytest.raises(PromptError, match="too long"):
        clip.ranked(image, candidates, Phrase.parse(f"red, not {'very ' * 20}blue"))

    assert model.looks == 0


def test_words_that_fit_accepted_candidates_are_suggested(clip, image, candidates):
    suggested = clip.suggestions(image, candidates, [1])

    assert suggested[0][0] == "green"
    assert suggested[0][1] > 0.5 > suggested[1][1]
    assert {phrase for phrase, _ in suggested} == set(NAMES)


def test_suggestions_are_taken_from_given_phrases(clip, image, candidates):
    suggested = clip.suggestions(image, candidates, [0, 2], ["blue", "green", "dark red"])

    assert {phrase for phrase, _ in suggested[:2]} == {"blue", "dark red"}
    assert sum(share for _, share in suggested) < 1


def test_a_suggestion_looks_at_some_of_many_candidates(clip, image, candidates, model):
    many = candidates.taken([0] * 100)
    boxes = many.boxes + np.arange(100)[:, None] % 60 * [0, 1, 0, 1]

    clip.suggestions(image, replace(many, boxes=boxes), range(100))

    assert 10 <= len(model.seen) <= ENOUGH


def test_nothing_accepted_suggests_nothing(clip, image, candidates):
    assert clip.suggestions(image, candidates, []) == []


def test_phrases_that_the_user_edits_count_at_once(image, candidates, model, tmp_path, monkeypatch):
    file = tmp_path / "phrases.toml"
    monkeypatch.setattr(enhanced_phrases, "user_file", lambda: file)
    clip = Clip(model)
    before = clip.similarities(image, candidates, Phrase.parse("thing"))

    file.write_text('[words]\nthing = ["red", "red one", "red two", "red three"]')
    after = clip.similarities(image, candidates, Phrase.parse("things"))

    assert before[0] < 0.5 < after[0]


def test_a_model_of_many_languages_has_no_remark(clip, model):
    many = Clip(replace(model, is_multilingual=True), PHRASES)

    assert clip.remark("noyau de la cellule") != ""
    assert many.remark("noyau de la cellule") == ""
