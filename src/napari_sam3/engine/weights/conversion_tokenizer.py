"""The tokenizer of SAM 3's texts, found beside its weights or made from CLIP's vocabulary."""

from __future__ import annotations

import gzip
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import without_triton  # noqa: F401  before transformers imports it
from ..errors import WeightsError

from transformers import CLIPTokenizer  # isort: skip

FILES = ("tokenizer.json", "tokenizer_config.json")
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
MERGES = 48894
"""How many pairs of CLIP's vocabulary are merged."""
LONGEST = 32  # tokens of a text
START, END = "<|startoftext|>", "<|endoftext|>"


def tokenizer_files(beside: Path) -> dict[str, str]:
    """Return the texts of the files a tokenizer is read from, none where it cannot be had.

    Parameters
    ----------
    beside : Path
        A folder that may hold these files, or CLIP's vocabulary.
    """
    if all((beside / name).is_file() for name in FILES):
        return {name: (beside / name).read_text(encoding="utf-8") for name in FILES}
    vocabulary = next((file for file in _places(beside) if file.is_file()), None)
    return {} if vocabulary is None else made_from(vocabulary)


def made_from(vocabulary: Path) -> dict[str, str]:
    """Make a tokenizer from the pairs that CLIP merges, the most frequent first.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        with gzip.open(vocabulary, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()[1 : MERGES + 1]
    except (OSError, EOFError, ValueError) as error:
        raise WeightsError(f"{vocabulary} cannot be read ({error}): remove it.") from error
    merges: list[Any] = [(left, right) for left, right in (line.split() for line in lines)]
    letters = _letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += [left + right for left, right in merges]
    tokenizer = CLIPTokenizer(
        vocab={word: number for number, word in enumerate([*words, START, END])},
        merges=merges,
        model_max_length=LONGEST,
        pad_token=END,
    )
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return {name: (Path(folder) / name).read_text(encoding="utf-8") for name in FILES}


def _places(beside: Path) -> list[Path]:
    """Name where the vocabulary may lie: beside the weights, or in open_clip."""
    package = find_spec("open_clip")
    folders = package.submodule_search_locations if package else None
    return [Path(folder) / VOCABULARY for folder in (beside, *(folders or ()))]


def _letters() -> list[str]:
    """Return a printable letter for every byte: those that are printable first, as themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = range(256, 256 + 256 - len(printable))
    return [chr(code) for code in (*printable, *rest)]
