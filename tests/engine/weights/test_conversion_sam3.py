"""A tokenizer for SAM 3 comes from beside the weights, or from CLIP's vocabulary."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from napari_sam3.engine import WeightsError
from napari_sam3.engine.weights import conversion_sam3

PAIRS = ["c e", "l l</w>", "ce ll</w>"]


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """A vocabulary that knows one word."""
    with gzip.open(tmp_path / conversion_sam3.VOCABULARY, "wt", encoding="utf-8") as file:
        file.write("\n".join(["version", *PAIRS]))
    return tmp_path / conversion_sam3.VOCABULARY


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no open_clip."""
    monkeypatch.setattr(conversion_sam3, "find_spec", lambda _: None)


def test_files_beside_the_weights_are_taken(tiny_sam3: Path) -> None:
    files = conversion_sam3.tokenizer_files(tiny_sam3)

    assert files["tokenizer.json"] == (tiny_sam3 / "tokenizer.json").read_text(encoding="utf-8")


def test_vocabulary_beside_the_weights_makes_a_tokenizer(vocabulary: Path, alone: None) -> None:
    for name, text in conversion_sam3.tokenizer_files(vocabulary.parent).items():
        (vocabulary.parent / name).write_text(text, encoding="utf-8")

    made = CLIPTokenizer.from_pretrained(vocabulary.parent, local_files_only=True)

    assert made.tokenize("Cell") == ["cell</w>"]
    assert made("cell")["input_ids"] == [515, 514, 516]
    assert len(made) == 2 * 256 + len(PAIRS) + 2


def test_without_a_vocabulary_there_is_no_tokenizer(tmp_path: Path, alone: None) -> None:
    assert conversion_sam3.tokenizer_files(tmp_path) == {}


def test_broken_vocabulary_is_named(tmp_path: Path, alone: None) -> None:
    (tmp_path / conversion_sam3.VOCABULARY).write_bytes(b"not zipped")

    with pytest.raises(WeightsError, match="cannot be read"):
        conversion_sam3.tokenizer_files(tmp_path)
