from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam3.engine.backends.clip import enhanced_phrases
from napari_sam3.engine.backends.clip.enhanced_phrases import (
    EnhancedPhrases,
    check_english,
    editable_phrases,
    english_remark,
    is_foreign,
    singulars,
)
from napari_sam3.values.errors import PromptError, StorageError


@pytest.fixture
def edited_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "config" / "phrases.toml"
    monkeypatch.setattr(enhanced_phrases, "edited_file", lambda: file)
    return file


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("Nuclei", "nucleus"),
        ("mitochondria", "mitochondrion"),
        ("bacteria", "bacterium"),
        ("algae", "alga"),
        ("hyphae", "hypha"),
        ("yeast cells", "yeast cell"),
        ("viruses", "virus"),
        ("bodies", "body"),
    ],
)
def test_plurals_are_understood(plural: str, singular: str) -> None:
    assert singular in singulars(plural)


def test_a_common_word_has_several_sentences() -> None:
    sentences = EnhancedPhrases.packaged().sentences("nuclei")

    assert "nuclei" in sentences
    assert "round cell nucleus stained with DAPI" in sentences


def test_an_unknown_word_is_put_into_sentences() -> None:
    sentences = EnhancedPhrases.packaged().sentences("kinetoplast")

    assert sentences == ("microscopy image of kinetoplast", "kinetoplast")


def test_a_word_in_another_script_is_its_only_sentence() -> None:
    assert EnhancedPhrases.packaged().sentences("细胞") == ("细胞",)


def test_wanted_words_are_no_distractors() -> None:
    phrases = EnhancedPhrases.packaged()

    assert "debris" in phrases.distractors(["nucleus"])
    assert "debris" not in phrases.distractors(["Debris"])


def test_the_words_of_the_plugin_are_lower_case_and_described_twice() -> None:
    phrases = EnhancedPhrases.packaged()

    assert all(word == word.casefold() for word in phrases.words)
    assert {len(descriptions) for descriptions in phrases.words.values()} == {2}


def test_words_of_the_user_come_before_those_of_the_plugin(edited_file: Path) -> None:
    edited_file.parent.mkdir()
    edited_file.write_text('[words]\nnucleus = ["blue blob"]\nactin = []\nmine = ["object"]\n')

    phrases = EnhancedPhrases.load()

    assert phrases.descriptions("nuclei") == ("blue blob",)
    assert "mine" in phrases.vocabulary
    assert "actin" not in phrases.vocabulary
    assert phrases.templates == EnhancedPhrases.packaged().templates


def test_the_file_to_edit_holds_the_phrases_of_the_plugin(edited_file: Path) -> None:
    assert editable_phrases() == edited_file

    assert EnhancedPhrases.load() == EnhancedPhrases.packaged()
    assert edited_file.read_text(encoding="utf-8").startswith("# What common words")


def test_the_file_to_edit_is_left_as_the_user_wrote_it(edited_file: Path) -> None:
    edited_file.parent.mkdir()
    edited_file.write_text("# mine\n")

    editable_phrases()

    assert edited_file.read_text() == "# mine\n"


def test_changed_descriptions_are_kept(edited_file: Path) -> None:
    changed = EnhancedPhrases.packaged().describing("Nuclei", ['a "blue" blob', "größer"])

    changed.save()

    assert EnhancedPhrases.load().descriptions("nucleus") == ('a "blue" blob', "größer")
    assert list(edited_file.parent.iterdir()) == [edited_file]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nucleus = [", "Invalid value"),
        ('nucleus = ["blob"]', r"'nucleus' stands outside of \[words\]"),
        ("words = 3", r"\[words\] must be a section"),
        ('[words]\nnucleus = "blob"', "nucleus must be a list"),
        ('templates = ["picture of"]', "needs a {}"),
    ],
)
def test_a_file_that_is_not_understood_says_why(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "phrases.toml"
    file.write_text(text)

    with pytest.raises(PromptError, match=f"{why}.*mend the file, or delete it"):
        EnhancedPhrases.load(file)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="could not be put into"):
        EnhancedPhrases.packaged().save(tmp_path / "file" / "phrases.toml")


@pytest.mark.parametrize("text", ["nucleus", "β-tubulin", "Γ cell", "5 µm bead", "Zellkern", "123"])
def test_latin_letters_and_single_greek_ones_are_not_foreign(text: str) -> None:
    assert not is_foreign(text)


@pytest.mark.parametrize("text", ["细胞", "核", "round ядро", "πυρήνας", "核 of a cell", "نواة"])
def test_words_in_another_script_are_foreign(text: str) -> None:
    assert is_foreign(text)


def test_another_script_is_refused_with_a_way_out() -> None:
    with pytest.raises(PromptError, match=r"Tiny reads English .* '细胞'.*multilingual CLIP"):
        check_english("细胞", "Tiny")


@pytest.mark.parametrize("text", ["noyau de la cellule avec un nucléole", "Zellkern mit der Hülle"])
def test_another_language_is_remarked(text: str) -> None:
    assert "seems to be in another language" in english_remark(text, "Tiny")


@pytest.mark.parametrize("text", ["round nucleus", "cell in the middle of a die", "Golgi"])
def test_english_is_not_remarked(text: str) -> None:
    assert english_remark(text, "Tiny") == ""
