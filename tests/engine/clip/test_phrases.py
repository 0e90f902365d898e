from __future__ import annotations

import pytest

from napari_sam3.engine.clip.phrases import Phrase, split
from napari_sam3.engine.errors import PromptError


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
        split(text)


def test_several_kinds_are_split_and_each_is_named_once() -> None:
    phrases = split("nucleus, not debris; yeast cell;\nnucleus, not debris;")

    assert [str(phrase) for phrase in phrases] == ["nucleus, not debris", "yeast cell"]
