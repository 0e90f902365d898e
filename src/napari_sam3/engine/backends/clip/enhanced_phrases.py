"""A dictionary of what common words of biology look like, which a user can edit."""

from __future__ import annotations

import json
import os
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from platformdirs import user_config_path

from ....values import PromptError, StorageError

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


PACKAGED = Path(__file__).with_suffix(".toml")
LISTS = ("templates", "otherwise")
PLURALS = (
    ("ies", "y"),
    ("ia", "ium"),
    ("ia", "ion"),
    ("ae", "a"),
    ("i", "us"),
    ("a", "um"),
    ("a", "on"),
    ("es", ""),
    ("s", ""),
)
"""How the plurals of biologists end, and the singulars that may be behind them."""


@dataclass(frozen=True, slots=True)
class EnhancedPhrases:
    """What words look like, how they are put into sentences, and what else is on an image."""

    words: Mapping[str, tuple[str, ...]]  # descriptions of each word, which is in the singular
    templates: tuple[str, ...]  # sentences with {} for the word
    otherwise: tuple[str, ...]  # what is seen where none of the wanted objects is

    @classmethod
    def packaged(cls) -> Self:
        """Return those that come with the plugin."""
        return cls(**_read(PACKAGED))

    @classmethod
    def load(cls, file: Path | None = None) -> Self:
        """Return those of the plugin, changed by the user's file where there is one.

        Raises
        ------
        PromptError
            If the file is not what it should be.
        StorageError
            If it cannot be read.
        """
        packaged = cls.packaged()
        place = edited_file() if file is None else file
        if not place.is_file():
            return packaged
        own = _read(place)
        words = {**packaged.words, **own.pop("words", {})}
        return replace(packaged, **own, words=words)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words that can be suggested."""
        return tuple(word for word, descriptions in self.words.items() if descriptions)

    def descriptions(self, word: str) -> tuple[str, ...]:
        """Return what a word looks like, in the singular or the plural; nothing if not known."""
        forms = singulars(word)
        return next((self.words[form] for form in forms if form in self.words), ())

    def sentences(self, word: str) -> tuple[str, ...]:
        """Return all that is said to a model in place of a word.

        A word in another script is said alone, for the sentences are English.
        """
        if is_foreign(word):
            return (word,)
        filled = tuple(template.replace("{}", word) for template in self.templates)
        return filled + self.descriptions(word)

    def others(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return what else may be on an image, but for what is wanted."""
        meant = {form for word in wanted for form in singulars(word)}
        return tuple(phrase for phrase in self.otherwise if meant.isdisjoint(singulars(phrase)))

    def describing(self, word: str, descriptions: Iterable[str]) -> Self:
        """Return these with other descriptions of a word."""
        key = next((form for form in singulars(word) if form in self.words), singulars(word)[0])
        return replace(self, words={**self.words, key: tuple(descriptions)})

    def save(self, file: Path | None = None) -> Path:
        """Write all to the user's file, at once or not at all, and return where it is.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        place = edited_file() if file is None else file
        try:
            _write_at_once(place, self._text())
        except OSError as error:
            raise StorageError(f"Your phrases could not be put into {place} ({error}).") from error
        return place

    def _text(self) -> str:
        comment, _ = PACKAGED.read_text(encoding="utf-8").split("\n\n", maxsplit=1)
        lists = [f"templates = {_listed(self.templates)}", f"otherwise = {_listed(self.otherwise)}"]
        words = [f"{_quoted(word)} = {_listed(said)}" for word, said in self.words.items()]
        return "\n".join([comment, "", *lists, "", "[words]", *words, ""])


def edited_file() -> Path:
    """Return where the user's own phrases are; the file need not exist yet."""
    return user_config_path("napari-sam3", appauthor=False) / "phrases.toml"


def editable_phrases() -> Path:
    """Return the user's own phrases as a file to be opened, made from the plugin's where missing.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    place = edited_file()
    return place if place.is_file() else EnhancedPhrases.packaged().save(place)


def singulars(word: str) -> tuple[str, ...]:
    """Return the forms under which a word may be in the dictionary, itself first."""
    plain = " ".join(word.casefold().split())
    endings = [(end, short) for end, short in PLURALS if plain.endswith(end)]
    return (plain, *(plain.removesuffix(end) + short for end, short in endings))


def _read(file: Path) -> dict[str, Any]:
    """Read a file of phrases, as the fields that it has."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"The phrases in {file} cannot be read ({error}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _broken(file, str(error)) from error
    words = found.pop("words", {})
    if not isinstance(words, dict):
        raise _broken(file, "[words] must be a section")
    unknown = [key for key in found if key not in LISTS]
    if unknown:
        raise _broken(file, f"{unknown[0]!r} stands outside of [words]")
    fields: dict[str, Any] = {key: _phrases(file, key, said) for key, said in found.items()}
    if not all("{}" in template for template in fields.get("templates", ())):
        raise _broken(file, "every template needs a {} where the word goes")
    described = {singulars(word)[0]: _phrases(file, word, said) for word, said in words.items()}
    return {**fields, "words": described}


def _write_at_once(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def _phrases(file: Path, key: str, said: object) -> tuple[str, ...]:
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise _broken(file, f'{key} must be a list, as in {key} = ["round cell", "dark spot"]')
    return tuple(" ".join(one.split()) for one in said if one.strip())


def _broken(file: Path, why: str) -> PromptError:
    return PromptError(
        f"The phrases in {file} cannot be understood ({why}): mend the file, or delete it to have "
        "those of the plugin again."
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # what TOML reads as well


def _listed(phrases: Iterable[str]) -> str:
    return f"[{', '.join(_quoted(phrase) for phrase in phrases)}]"
