"""Who reads the words of a concept, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from napari_sam3.engine import Engine
from napari_sam3.engine.clip.clip import Clip
from napari_sam3.engine.clip.enhanced_phrases import EnhancedPhrases
from napari_sam3.engine.errors import ModelError, PromptError
from napari_sam3.engine.finding.concepts import Candidates, Concept
from napari_sam3.engine.finding.wording import doubted
from tests.backends import DiskBackend, DiskEmbedding, disk_frames
from tests.clips import ColourModel

CENTRES = {"left": (16, 16), "right": (16, 48)}
PHRASES = EnhancedPhrases({}, ("{}",), ("background",))


@dataclass
class WordyBackend(DiskBackend):
    """Gives a high score to the disks on the side that a text names, and a low one to others."""

    reads_text: bool = True
    sure: float = 0.9
    words: list[str | None] = field(default_factory=list)

    def find(self, embedding: DiskEmbedding, concept: Concept) -> Candidates:
        self.words.append(concept.text)
        found = super().find(embedding, concept)
        is_left = found.boxes[:, 1] < 32
        said = concept.text or ""
        meant = is_left if "left" in said else ~is_left if "right" in said else is_left | True
        return replace(found, scores=np.where(meant, self.sure, 0.1))


@pytest.fixture
def frames() -> np.ndarray:
    """Return two disks, a red one on the left and a blue one on the right, (1, 64, 64, 3)."""
    left, right = (disk_frames([CENTRES[side]]) for side in ("left", "right"))
    return np.stack([left, np.minimum(left, right), right], axis=-1)


@pytest.fixture
def model() -> ColourModel:
    return ColourModel()


@pytest.fixture
def clip(model: ColourModel) -> Clip:
    return Clip(model, PHRASES)


def sides(candidates: Candidates, threshold: float = 0.6) -> set[str]:
    chosen = candidates.boxes[candidates.scores >= threshold]
    return {"left" if box[1] < 32 else "right" for box in chosen}


def test_a_model_without_words_borrows_those_of_a_text_model(frames, clip):
    engine = Engine(DiskBackend(bright=0.3))
    engine.read_texts_with(clip)

    found = engine.open(frames).find(0, "red, not blue")

    assert len(found) == 2
    assert sides(found) == {"left"}


def test_without_a_text_model_it_says_that_it_reads_none(frames, clip):
    engine = Engine(DiskBackend())
    session = engine.open(frames)
    engine.read_texts_with(clip)
    engine.read_texts_with(None)

    with pytest.raises(ModelError, match="reads no text"):
        session.find(0, "red")


def test_another_phrase_encodes_nothing_and_looks_at_nothing_anew(frames, clip, model):
    backend = DiskBackend(bright=0.3)
    engine = Engine(backend)
    engine.read_texts_with(clip)
    session = engine.open(frames)
    session.find(0, "red")

    found = session.find(0, "blue")

    assert sides(found) == {"right"}
    assert backend.encoded == 1
    assert model.looks == 1


def test_what_a_model_with_words_has_found_is_ranked_once_more(frames, clip):
    backend = WordyBackend(bright=0.3)
    engine = Engine(backend)
    session = engine.open(frames)
    alone = session.find(0, "blue")

    engine.read_texts_with(clip)
    together = session.find(0, "blue")

    assert sides(alone) == {"left", "right"}
    assert sides(together) == {"right"}


def test_exemplars_without_text_are_not_ranked(frames, clip, model):
    engine = Engine(DiskBackend(bright=0.3, reads_exemplars=True))
    engine.read_texts_with(clip)

    engine.open(frames).find(0, exemplars=[(10, 10, 22, 22)])

    assert model.looks == 0


def test_exemplars_and_text_go_together_in_a_model_without_words(frames, clip):
    backend = DiskBackend(bright=0.3, reads_exemplars=True)
    engine = Engine(backend)
    engine.read_texts_with(clip)

    found = engine.open(frames).find(0, "blue", exemplars=[(10, 10, 22, 22)])

    assert [concept.text for concept in backend.found] == [None]
    assert sides(found) == {"right"}


def test_every_word_of_a_phrase_is_asked_and_what_is_unwanted_is_doubted(frames):
    backend = WordyBackend(bright=0.3)

    found = Engine(backend).open(frames).find(0, "left or right, not right")

    assert backend.words == ["left", "right", "right"]
    assert len(found) == 2
    assert sides(found) == {"left"}


def test_what_is_doubted_stays_and_loses_its_score(frames):
    backend = WordyBackend(bright=0.3)
    found = Engine(backend).open(frames).find(0, "left")
    other = replace(found, scores=np.array([0.7, 0.7]))

    scores = doubted(found, other).scores

    assert scores == pytest.approx([0.3, 0.1])


def test_what_lies_apart_is_not_doubted(frames):
    found = Engine(WordyBackend(bright=0.3)).open(frames).find(0, "left or right")

    scores = doubted(found.taken([0]), found.taken([1])).scores

    assert scores.tolist() == found.scores[:1].tolist()


def test_a_model_with_words_is_not_asked_in_another_script(frames):
    session = Engine(WordyBackend()).open(frames)

    with pytest.raises(PromptError, match="disks reads English"):
        session.find(0, "细胞")


def test_other_scripts_are_read_by_a_text_model_of_many_languages(frames):
    backend = WordyBackend(bright=0.3)
    engine = Engine(backend)
    engine.read_texts_with(Clip(ColourModel(is_multilingual=True), PHRASES))

    found = engine.open(frames).find(0, "红")

    assert len(found) == 2
    assert backend.words == []


def test_a_text_that_is_too_long_is_told_before_anything_is_encoded(frames, clip):
    backend = DiskBackend()
    engine = Engine(backend)
    engine.read_texts_with(clip)

    with pytest.raises(PromptError, match="too long"):
        engine.open(frames).find(0, "very " * 30 + "red")

    assert backend.encoded == 0


def test_who_reads_a_text_has_a_remark_on_its_language(clip):
    silent, wordy = Engine(DiskBackend()), Engine(WordyBackend())
    text = "noyau de la cellule"

    assert silent.remark(text) == ""
    assert wordy.remark(text).startswith("disks reads English")
    wordy.read_texts_with(clip)
    assert wordy.remark(text).startswith("colours reads English")
    assert wordy.remark("nucleus of a cell") == ""


def test_a_session_suggests_phrases_for_what_was_accepted(frames):
    engine = Engine(DiskBackend(bright=0.3))
    phrases = EnhancedPhrases({"red": ("red",), "blue": ("blue",)}, ("{}",), ("background",))
    engine.read_texts_with(Clip(ColourModel(), phrases))
    session = engine.open(frames)
    candidates = session.everything(0)

    suggested = session.suggestions(candidates, [1])

    assert [phrase for phrase, _ in suggested] == ["blue", "red"]


def test_without_a_text_model_nothing_is_suggested(frames):
    session = Engine(DiskBackend(bright=0.3)).open(frames)

    with pytest.raises(ModelError, match="Only a text model can suggest"):
        session.suggestions(session.everything(0), [0])


# transformers and open_clip take seconds to import: only these tests pay for it


def test_sam3_reads_a_phrase_and_a_tiny_text_model_ranks_what_it_found(frames, tiny_sam3, tmp_path):
    from tests.tiny_clips import tiny_clip

    engine = Engine.load(tiny_sam3, "cpu")
    session = engine.open(frames)
    alone = session.find(0, "disk or cell, not dust")

    engine.read_texts_with(Clip.load(tiny_clip(tmp_path), "cpu"))
    ranked = session.find(0, "disk or cell, not dust")

    assert len(alone) == len(ranked) > 0
    assert not np.allclose(alone.scores, ranked.scores)


def test_the_embedded_model_finds_by_words_of_a_tiny_text_model(frames, tmp_path):
    from tests.tiny_clips import tiny_multilingual_clip

    engine = Engine.load("embedded", "cpu")
    engine.read_texts_with(Clip.load(tiny_multilingual_clip(tmp_path), "cpu"))
    session = engine.open(frames)
    candidates = session.everything(0)

    found = session.find(0, "细胞, not debris")

    assert len(found) == len(candidates) > 0
    assert not np.allclose(found.scores, candidates.scores)
