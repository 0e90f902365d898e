"""Phrases: what a user types to say which objects are meant, and which are not."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self

from ..errors import PromptError

TEXT_IS_WEAK = (
    "Text is the weakest prompt in microscopy (arXiv 2604.18225): a box around one example, or a "
    "click, finds more."
)
"""To be shown wherever something was found by text."""
CONCEPTS = re.compile(r"[;\n]")
REFUSAL = re.compile(r"(?:^|[,\s])\s*(?:but\s+)?(?:not|no|without|except)\s+", re.IGNORECASE)
ALTERNATIVES = re.compile(r"\s+or\s+", re.IGNORECASE)
REFUSED = re.compile(r"\s*,\s*(?:(?:and|or|not|no)\s+)?|\s+(?:and|or|nor)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Phrase:
    """The words for one kind of object, and for what it is not to be taken for."""

    wanted: tuple[str, ...]  # any of these is meant
    unwanted: tuple[str, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Understand "nucleus, not debris", or "yeast or bacterium, but not dust and bubbles".

        All that follows a "not" is unwanted. A comma before it is part of the description, as in
        "small, round nucleus".

        Raises
        ------
        PromptError
            If nothing is wanted.
        """
        said = REFUSAL.split(f" {text} ", maxsplit=1)
        wanted = _words(ALTERNATIVES.split(said[0]))
        unwanted = _words(REFUSED.split(said[1])) if len(said) > 1 else ()
        if wanted:
            return cls(wanted, unwanted)
        if unwanted:
            raise PromptError(
                f"{text.strip()!r} says only what is not meant: write first what is, as in "
                '"nucleus, not debris".'
            )
        raise PromptError('Nothing says what to find: type a text, such as "nucleus".')

    def __str__(self) -> str:
        """Return what would be typed for it."""
        wanted = " or ".join(self.wanted)
        return f"{wanted}, not {' or '.join(self.unwanted)}" if self.unwanted else wanted


def split(text: str) -> list[Phrase]:
    """Take apart several kinds of objects, as in "nucleus; yeast cell", each named once.

    Raises
    ------
    PromptError
        If there is none, or one of them says only what is not meant.
    """
    parts = [part for part in CONCEPTS.split(text) if part.strip()]
    return list(dict.fromkeys(Phrase.parse(part) for part in parts or [""]))


def _words(parts: list[str]) -> tuple[str, ...]:
    """Drop what is empty or said twice, and the spaces and stops around the rest."""
    cleaned = (" ".join(part.split()).strip(" ,.;:") for part in parts)
    return tuple(dict.fromkeys(word for word in cleaned if word))
