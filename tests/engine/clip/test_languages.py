from __future__ import annotations

import pytest

from napari_sam3.engine.clip.languages import check_english, english_remark, is_foreign
from napari_sam3.engine.errors import PromptError


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
