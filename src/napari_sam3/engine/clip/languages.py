"""Which language a text may be in, as far as its letters and smallest words tell."""

from __future__ import annotations

import unicodedata

from ..errors import PromptError

SMALL = (
    "der die das und ein eine mit nicht le la les de des du une avec et el los las un una y con "
    "il lo gli e di da den det og en ett het van um uma os do dos das com nao"
)
SMALL_WORDS = frozenset(SMALL.split())
"""Words of other languages that no English phrase for an object has."""
TELLING = 2
"""So many small words of another language are not there by chance."""


def is_foreign(text: str) -> bool:
    """Whether a text has words in another script than that of English.

    A single Greek letter is none, for biologists write them, as in "β cell".
    """
    return any(_is_foreign_word(word) for word in text.split())


def check_english(text: str, name: str) -> None:
    """Refuse a text in another script for a model of this name that reads English alone.

    Raises
    ------
    PromptError
        If there is one.
    """
    if is_foreign(text):
        raise PromptError(
            f"{name} reads English and would not understand {text!r}: write it in English, or "
            "choose a text model that reads many languages, such as multilingual CLIP."
        )


def english_remark(text: str, name: str) -> str:
    """Say that a model of this name reads English alone, where a text seems to be in no English."""
    words = text.casefold().split()
    accents = any(ord(letter) > 127 and _script(letter) == "LATIN" for letter in text)
    if not accents and sum(word in SMALL_WORDS for word in words) < TELLING:
        return ""
    return (
        f"{name} reads English; {text!r} seems to be in another language. Write it in English, "
        "or choose a text model that reads many languages."
    )


def _is_foreign_word(word: str) -> bool:
    letters = [letter for letter in unicodedata.normalize("NFKC", word) if letter.isalpha()]
    scripts = [_script(letter) for letter in letters]
    others = [script for script in scripts if script != "LATIN"]
    return bool(others) and (others != ["GREEK"])


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]
