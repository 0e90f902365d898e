"""Detection: whole frames, windows and tiles, exemplars and texts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from napari_sam3.engine import (
    Candidates,
    Channel,
    Contrast,
    Engine,
    Frames,
    PromptError,
    Session,
    detection,
)
from napari_sam3.engine.backends.clip.clip import Clip
from napari_sam3.engine.backends.clip.enhanced_phrases import EnhancedPhrases
from napari_sam3.engine.detection import MIN_SPLIT_SIDE, penalised, region_window, split_window
from napari_sam3.engine.images.frames import Window
from napari_sam3.values.candidates import Concept
from napari_sam3.values.errors import ModelError
from tests.backends import DiskBackend, DiskEmbedding, disk_frames, ellipse
from tests.clips import ColourModel

FRAME = np.maximum(*disk_frames([(20, 20), (44, 44)]))
BOX, SECOND_BOX = (14, 14, 26, 26), (38, 38, 50, 50)


@pytest.fixture
def backend() -> DiskBackend:
    return DiskBackend(reads_exemplars=True)


@pytest.fixture
def session(backend) -> Session:
    return Engine(backend).open(np.stack([FRAME, FRAME[::-1]]))


def test_boxes_on_the_frame_that_is_searched_stay_boxes(session, backend):
    session.find(0, exemplars=[BOX], negatives=[SECOND_BOX])

    assert backend.concepts[0].exemplars == (BOX,)
    assert backend.concepts[0].negatives == (SECOND_BOX,)


def test_boxes_end_where_the_frame_does(session, backend):
    session.find(0, exemplars=[(-50, 26, 14, -9)], negatives=[(38, 38, np.inf, 90)])

    assert backend.concepts[0].exemplars == ((-0.5, 26, 14, -0.5),)
    assert backend.concepts[0].negatives == ((38, 38, 63.5, 63.5),)


@pytest.mark.parametrize("side", [64, 2100])
def test_an_exemplar_at_the_border_may_be_drawn_generously(backend, side):
    session = Engine(backend).open(np.zeros((side, side), np.uint8))

    exemplar = session.exemplar(0, (-20, -900, 20, 20))

    assert exemplar.box == (-0.5, -0.5, 20, 20)


def test_an_exemplar_of_one_frame_is_shown_on_another(session, backend):
    exemplar = session.exemplar(0, BOX)

    session.find(1, exemplars=[exemplar])

    assert backend.concepts[0].shown == [exemplar]
    assert exemplar.appearance["grey"].mean() > 0.5
    assert exemplar.thumbnail.shape == (25, 25, 3)


def test_further_exemplars_of_a_frame_do_not_read_it_again(backend):
    read = []
    frames = Frames(2, FRAME.shape, 1, lambda frame: read.append(frame) or FRAME[..., None])
    session = Engine(backend).open(frames, contrast=Contrast((Channel((0, 255)),)))
    first = session.exemplar(1, BOX)
    read.clear()

    again = session.exemplar(1, BOX)
    list(session.find_all(exemplars=[BOX, SECOND_BOX], frame=1))

    assert read == [0]
    np.testing.assert_array_equal(again.thumbnail, first.thumbnail)


def test_an_exemplar_that_is_not_meant_counts_as_a_negative(session, backend):
    exemplar, negative = session.exemplar(0, BOX), session.exemplar(0, SECOND_BOX).negated()

    session.find(1, exemplars=[exemplar, negative])

    assert list(backend.concepts[0].exemplars) == [exemplar]
    assert list(backend.concepts[0].negatives) == [negative]


def test_boxes_for_the_whole_stack_lie_on_the_frame_that_is_named(session, backend):
    found = list(session.find_all(exemplars=[BOX], negatives=[SECOND_BOX], frame=0))

    assert [one.frame for one in found] == [0, 1]
    assert backend.encoded == 2
    assert [len(concept.shown) for concept in backend.concepts] == [2, 2]


def test_a_region_leaves_objects_out_and_encodes_nothing_more(session, backend):
    region = (0, 0, 30, 30)

    found = session.everything(0), session.everything(0, region), session.find(0, None, [BOX])

    assert [len(one) for one in found] == [2, 1, 2]
    assert found[1].boxes[0].tolist() == [14, 14, 27, 27]
    assert backend.encoded == 1


SIDE, STEP = 600, 30
SIDES = [(100, 400), (300, 210), (211, 211)]


@dataclass
class FewQueries(DiskBackend):
    """Detects a limited number of the objects of an image, and reports when there may be more."""

    most: int = 50
    reads_text: bool = True
    reads_exemplars: bool = True

    def find(self, embedding: DiskEmbedding, concept: Concept) -> Candidates:
        every = super().find(embedding, concept)
        if len(every) <= self.most:
            return every
        kept = np.random.default_rng(len(every)).permutation(len(every))[: self.most]
        return replace(every.taken(kept), is_saturated=True)


def crowd(side: int = SIDE) -> np.ndarray:
    """Draw small cells on a grid."""
    rows, cols = np.indices((side, side))
    return ((rows % STEP - 15) ** 2 + (cols % STEP - 15) ** 2 < 60).astype(np.uint8) * 200


@pytest.fixture
def limited() -> FewQueries:
    return FewQueries()


@pytest.fixture
def crowded(limited: FewQueries) -> Session:
    return Engine(limited).open(crowd())


def middles(found: Candidates) -> set[tuple[int, int]]:
    centres = (found.boxes[:, :2] + found.boxes[:, 2:] - 1) / 2
    return {(round(row), round(col)) for row, col in centres.tolist()}


def test_a_frame_with_too_many_objects_is_split_until_all_are_detected(crowded):
    found = crowded.find(0, text="cell")

    assert len(found) == (SIDE // STEP) ** 2
    assert middles(found) == {
        (row, col) for row in range(15, SIDE, STEP) for col in range(15, SIDE, STEP)
    }
    assert not found.is_saturated
    assert (np.diff(found.scores) <= 0).all()
    assert found.tiles_searched == 16


def test_a_frame_with_few_objects_is_encoded_once(crowded, limited):
    limited.most = 1000

    found = crowded.find(0, text="cell")

    assert len(found) == (SIDE // STEP) ** 2
    assert found.tiles_searched == 1
    assert limited.encoded == 1


def test_only_a_region_is_split(crowded, limited):
    found = crowded.find(0, text="cell", region=(0, 0, 149, 299))

    assert len(found) == 5 * 10
    assert limited.encoded < 7
    assert max(max(shape) for shape in limited.images[1:]) < SIDE / 1.5


def test_windows_do_not_become_too_small(crowded, limited):
    limited.most = 1

    found = crowded.find(0, text="cell")

    assert found.is_saturated
    assert min(min(shape[:2]) for shape in limited.images) >= MIN_SPLIT_SIDE


def test_a_frame_too_small_to_be_split_keeps_what_was_found(limited):
    limited.most = 3

    found = Engine(limited).open(crowd(120)).find(0, text="cell")

    assert found.is_saturated
    assert len(found) == 3


def test_windows_get_the_boxes_they_show_and_exemplars_for_the_rest(crowded, limited):
    box = (4, 4, 26, 26)

    crowded.find(0, exemplars=[box], negatives=[(574, 574, 596, 596)])

    whole, *parts = limited.concepts
    assert whole.boxes == [box, (574, 574, 596, 596)]
    assert [len(part.boxes) + len(part.shown) for part in parts] == [2] * len(parts)
    assert parts[0].boxes == [box]
    assert all(one.appearance["grey"].shape == (22, 22) for part in parts for one in part.shown)


def test_a_box_is_given_in_pixels_of_its_window(crowded, limited):
    crowded.find(0, exemplars=[(574, 574, 596, 596)])

    last = limited.concepts[-1]
    window = limited.images[-1]
    assert last.boxes == [(window[0] - 26, window[1] - 26, window[0] - 4, window[1] - 4)]


def test_parts_fill_a_window_and_overlap():
    window = Window(0, 100, 50, 300, 401)

    counts = np.zeros((500, 500), int)
    for part in split_window(window):
        top, left, bottom, right = part.box((500, 500))
        counts[top:bottom, left:right] += 1

    assert (counts[100:400, 50:451] >= 1).all()
    assert counts.sum() == counts[100:400, 50:451].sum()
    assert (counts[220:280, 240:260] == 4).all()


def test_only_sides_that_are_long_enough_are_split():
    shapes = [[part.shape for part in split_window(Window(0, 0, 0, *sides))] for sides in SIDES]

    assert shapes == [[(100, 240)] * 2, [(180, 210)] * 2, []]


@pytest.mark.parametrize("region", [(10, 20, 300, 320), (300, 320, 10, 20), (0, 0, 5, 5)])
def test_a_region_is_encoded_with_its_surroundings(region):
    window = region_window(region, (400, 400))

    top, left, bottom, right = window.box((400, 400))
    assert top <= min(region[0], region[2])
    assert left <= min(region[1], region[3])
    assert bottom > max(region[0], region[2])
    assert right > max(region[1], region[3])
    assert bottom <= 400


@pytest.fixture
def large(limited: FewQueries) -> Session:
    limited.most = 10**6
    pixels = np.zeros((2400, 2400), np.uint8)
    for centre in [(40, 40), (1000, 1010), (1700, 400), (2350, 2350)]:
        pixels[ellipse(pixels.shape, centre, (12, 12))] = 200
    return Engine(limited).open(Frames.from_array(pixels))


def test_a_large_frame_is_searched_tile_by_tile(large, limited, monkeypatch):
    found = large.everything(0)

    assert middles(found) == {(40, 40), (1000, 1010), (1700, 400), (2350, 2350)}
    assert found.shape == (2400, 2400)
    assert found.tiles_searched == limited.encoded > 4
    assert max(max(shape) for shape in limited.images) <= 1024


def test_a_region_of_a_large_frame_needs_few_tiles(large, limited):
    found = large.everything(0, region=(980, 990, 1020, 1030))

    assert middles(found) == {(1000, 1010)}
    assert limited.encoded == 1


def test_an_exemplar_on_a_large_frame_serves_all_tiles(large, limited):
    box = (1688, 388, 1712, 412)

    large.find(0, exemplars=[box])

    shown = [part.shown for part in limited.concepts if part.shown]
    boxes = [part.boxes for part in limited.concepts if part.boxes]
    assert len(shown) + len(boxes) == len(limited.concepts)
    assert all(one.appearance["grey"].shape == (24, 24) for part in shown for one in part)
    assert all(side <= 1024 for part in boxes for side in part[0])


def test_an_exemplar_that_no_tile_shows_is_refused(large):
    with pytest.raises(PromptError, match="at most 896 pixels"):
        large.exemplar(0, (100, 100, 2000, 300))


def test_everything_splits_where_a_model_is_saturated(crowded, monkeypatch):
    def full(limited: FewQueries, embedding: DiskEmbedding) -> Candidates:
        return replace(DiskBackend.everything(limited, embedding), is_saturated=True)

    monkeypatch.setattr(FewQueries, "everything", full)
    monkeypatch.setattr(detection, "MIN_SPLIT_SIDE", 300)

    found = crowded.everything(0)

    assert len(found) == (SIDE // STEP) ** 2
    assert found.tiles_searched == 4


CENTRES = {"left": (16, 16), "right": (16, 48)}
PHRASES = EnhancedPhrases({}, ("{}",), ("background",))


@dataclass
class TextBackend(DiskBackend):
    """Scores the disks on the side that a text names high, and all others low."""

    reads_text: bool = True
    sure: float = 0.9
    words: list[str | None] = field(default_factory=list)

    def find(self, embedding: DiskEmbedding, concept: Concept) -> Candidates:
        self.words.append(concept.text)
        found = super().find(embedding, concept)
        is_left = found.boxes[:, 1] < 32
        text = concept.text or ""
        meant = is_left if "left" in text else ~is_left if "right" in text else is_left | True
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
    boxes = candidates.boxes[candidates.scores >= threshold]
    return {"left" if box[1] < 32 else "right" for box in boxes}


def test_a_model_without_text_is_ranked_by_a_text_model(frames, clip):
    engine = Engine(DiskBackend(bright=0.3))
    engine.read_texts_with(clip)

    found = engine.open(frames).find(0, "red, not blue")

    assert len(found) == 2
    assert sides(found) == {"left"}


def test_without_a_text_model_a_text_is_refused(frames, clip):
    engine = Engine(DiskBackend())
    session = engine.open(frames)
    engine.read_texts_with(clip)
    engine.read_texts_with(None)

    with pytest.raises(ModelError, match="reads no text"):
        session.find(0, "red")


def test_another_phrase_encodes_nothing_anew(frames, clip, model):
    backend = DiskBackend(bright=0.3)
    engine = Engine(backend)
    engine.read_texts_with(clip)
    session = engine.open(frames)
    session.find(0, "red")

    found = session.find(0, "blue")

    assert sides(found) == {"right"}
    assert backend.encoded == 1
    assert model.image_batches == 1


def test_candidates_of_a_model_with_text_are_ranked_by_the_text_model(frames, clip):
    backend = TextBackend(bright=0.3)
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

    assert model.image_batches == 0


def test_exemplars_and_text_go_together_in_a_model_without_text(frames, clip):
    backend = DiskBackend(bright=0.3, reads_exemplars=True)
    engine = Engine(backend)
    engine.read_texts_with(clip)

    found = engine.open(frames).find(0, "blue", exemplars=[(10, 10, 22, 22)])

    assert [concept.text for concept in backend.concepts] == [None]
    assert sides(found) == {"right"}


def test_every_word_of_a_phrase_is_searched_and_unwanted_ones_are_penalised(frames):
    backend = TextBackend(bright=0.3)

    found = Engine(backend).open(frames).find(0, "left or right, not right")

    assert backend.words == ["left", "right", "right"]
    assert len(found) == 2
    assert sides(found) == {"left"}


def test_penalised_candidates_stay_with_a_lower_score(frames):
    backend = TextBackend(bright=0.3)
    found = Engine(backend).open(frames).find(0, "left")
    unwanted = replace(found, scores=np.array([0.7, 0.7]))

    scores = penalised(found, unwanted).scores

    assert scores == pytest.approx([0.3, 0.1])


def test_candidates_apart_from_unwanted_ones_are_not_penalised(frames):
    found = Engine(TextBackend(bright=0.3)).open(frames).find(0, "left or right")

    scores = penalised(found.taken([0]), found.taken([1])).scores

    assert scores.tolist() == found.scores[:1].tolist()


def test_a_model_with_text_refuses_another_script(frames):
    session = Engine(TextBackend()).open(frames)

    with pytest.raises(PromptError, match="disks reads English"):
        session.find(0, "细胞")


def test_another_script_is_read_by_a_multilingual_text_model(frames):
    backend = TextBackend(bright=0.3)
    engine = Engine(backend)
    engine.read_texts_with(Clip(ColourModel(is_multilingual=True), PHRASES))

    found = engine.open(frames).find(0, "红")

    assert len(found) == 2
    assert backend.words == []


def test_a_text_that_is_too_long_is_refused_before_anything_is_encoded(frames, clip):
    backend = DiskBackend()
    engine = Engine(backend)
    engine.read_texts_with(clip)

    with pytest.raises(PromptError, match="too long"):
        engine.open(frames).find(0, "very " * 30 + "red")

    assert backend.encoded == 0


def test_the_model_that_reads_a_text_remarks_on_its_language(clip):
    without_text, with_text = Engine(DiskBackend()), Engine(TextBackend())
    text = "noyau de la cellule"

    assert without_text.remark(text) == ""
    assert with_text.remark(text).startswith("disks reads English")
    with_text.read_texts_with(clip)
    assert with_text.remark(text).startswith("colours reads English")
    assert with_text.remark("nucleus of a cell") == ""


def test_a_session_suggests_phrases_for_accepted_candidates(frames):
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


def test_sam3_reads_a_phrase_and_a_tiny_text_model_ranks_its_candidates(
    frames, tiny_sam3, tmp_path
):
    from tests.tiny_clips import tiny_clip

    engine = Engine.load(tiny_sam3, "cpu")
    session = engine.open(frames)
    alone = session.find(0, "disk or cell, not dust")

    engine.read_texts_with(Clip.load(tiny_clip(tmp_path), "cpu"))
    ranked = session.find(0, "disk or cell, not dust")

    assert len(alone) == len(ranked) > 0
    assert not np.allclose(alone.scores, ranked.scores)


def test_the_embedded_model_is_ranked_by_a_tiny_text_model(frames, tmp_path):
    from tests.tiny_clips import tiny_multilingual_clip

    engine = Engine.load("embedded", "cpu")
    engine.read_texts_with(Clip.load(tiny_multilingual_clip(tmp_path), "cpu"))
    session = engine.open(frames)
    candidates = session.everything(0)

    found = session.find(0, "细胞, not debris")

    assert len(found) == len(candidates) > 0
    assert not np.allclose(found.scores, candidates.scores)
