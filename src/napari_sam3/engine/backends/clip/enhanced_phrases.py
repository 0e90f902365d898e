"""A dictionary that describes common words of biology, which everybody can edit."""

from __future__ import annotations

import json
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from platformdirs import user_config_path

from ....storage import write_whole
from ....values import PromptError, StorageError

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
SHORT_WORDS = (
    "der die das und ein eine mit nicht le la les de des du une avec et el los las un una y con "
    "il lo gli e di da den det og en ett het van um uma os do dos das com nao"
)
FOREIGN_SHORT_WORDS = frozenset(SHORT_WORDS.split())
"""Short words of other languages that no English phrase for an object has."""
FOREIGN_COUNT = 2
"""So many short words of another language are not there by chance."""


@dataclass(frozen=True, slots=True)
class EnhancedPhrases:
    """Descriptions of words, templates to put them into, and what else is on an image."""

    words: Mapping[str, tuple[str, ...]]  # descriptions of each word, which is in the singular
    templates: tuple[str, ...]  # sentences with {} for the word
    otherwise: tuple[str, ...]  # what is on an image where none of the wanted objects is

    @classmethod
    def packaged(cls) -> Self:
        """Return those that come with the plugin."""
        return cls(**_read_phrases(PACKAGED))

    @classmethod
    def load(cls, file: Path | None = None) -> Self:
        """Return those of the plugin, changed by the user's own file where there is one.

        Raises
        ------
        PromptError
            If the file is not what it should be.
        StorageError
            If it cannot be read.
        """
        packaged = cls.packaged()
        path = edited_file() if file is None else file
        if not path.is_file():
            return packaged
        edited = _read_phrases(path)
        words = {**packaged.words, **edited.pop("words", {})}
        return replace(packaged, **edited, words=words)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words that can be suggested."""
        return tuple(word for word, descriptions in self.words.items() if descriptions)

    def descriptions(self, word: str) -> tuple[str, ...]:
        """Return the descriptions of a word, in the singular or the plural; none if not known."""
        forms = singulars(word)
        return next((self.words[form] for form in forms if form in self.words), ())

    def sentences(self, word: str) -> tuple[str, ...]:
        """Return all sentences that a model encodes for a word.

        A word in another script is the only one, for the templates are English.
        """
        if is_foreign(word):
            return (word,)
        filled = tuple(template.replace("{}", word) for template in self.templates)
        return filled + self.descriptions(word)

    def distractors(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return phrases for what else may be on an image than the wanted words."""
        forms = {form for word in wanted for form in singulars(word)}
        return tuple(phrase for phrase in self.otherwise if forms.isdisjoint(singulars(phrase)))

    def describing(self, word: str, descriptions: Iterable[str]) -> Self:
        """Return the same dictionary with other descriptions of a word."""
        key = next((form for form in singulars(word) if form in self.words), singulars(word)[0])
        return replace(self, words={**self.words, key: tuple(descriptions)})

    def save(self, file: Path | None = None) -> Path:
        """Write all to the user's file, at once or not at all, and return where it is.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        path = edited_file() if file is None else file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, self._text())
        except OSError as error:
            raise StorageError(f"Your phrases could not be put into {path} ({error}).") from error
        return path

    def _text(self) -> str:
        comment, _ = PACKAGED.read_text(encoding="utf-8").split("\n\n", maxsplit=1)
        lists = [f"templates = {_listed(self.templates)}", f"otherwise = {_listed(self.otherwise)}"]
        words = [f"{_quoted(word)} = {_listed(value)}" for word, value in self.words.items()]
        return "\n".join([comment, "", *lists, "", "[words]", *words, ""])


def edited_file() -> Path:
    """Return where the user's own phrases are; the file need not exist yet."""
    return user_config_path("napari-sam3", appauthor=False) / "phrases.toml"


def editable_phrases() -> Path:
    """Return the file of the user's own phrases, made from those of the plugin where missing.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    path = edited_file()
    return path if path.is_file() else EnhancedPhrases.packaged().save(path)


def singulars(word: str) -> tuple[str, ...]:
    """Return the forms under which a word may be in the dictionary, itself first."""
    plain = " ".join(word.casefold().split())
    endings = [(end, short) for end, short in PLURALS if plain.endswith(end)]
    return (plain, *(plain.removesuffix(end) + short for end, short in endings))


def _read_phrases(file: Path) -> dict[str, Any]:
    """Read a file of phrases, as the fields that it has."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"The phrases in {file} cannot be read ({error}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _broken(file, str(error)) from error
    words = content.pop("words", {})
    if not isinstance(words, dict):
        raise _broken(file, "[words] must be a section")
    unknown = [key for key in content if key not in LISTS]
    if unknown:
        raise _broken(file, f"{unknown[0]!r} stands outside of [words]")
    fields: dict[str, Any] = {key: _phrases(file, key, value) for key, value in content.items()}
    if not all("{}" in template for template in fields.get("templates", ())):
        raise _broken(file, "every template needs a {} where the word goes")
    described = {singulars(word)[0]: _phrases(file, word, value) for word, value in words.items()}
    return {**fields, "words": described}


def _phrases(file: Path, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(phrase, str) for phrase in value):
        raise _broken(file, f'{key} must be a list, as in {key} = ["round cell", "dark spot"]')
    return tuple(" ".join(phrase.split()) for phrase in value if phrase.strip())


def _broken(file: Path, why: str) -> PromptError:
    return PromptError(
        f"The phrases in {file} cannot be understood ({why}): mend the file, or delete it to have "
        "those of the plugin again."
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # what TOML reads as well


def _listed(phrases: Iterable[str]) -> str:
    return f"[{', '.join(_quoted(phrase) for phrase in phrases)}]"


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
    """Return a remark that a model reads English alone, where a text seems to be in no English."""
    words = text.casefold().split()
    accents = any(ord(letter) > 127 and _script(letter) == "LATIN" for letter in text)
    if not accents and sum(word in FOREIGN_SHORT_WORDS for word in words) < FOREIGN_COUNT:
        return ""
    return (
        f"{name} reads English; {text!r} seems to be in another language. Write it in English, "
        "or choose a text model that reads many languages."
    )


def _is_foreign_word(word: str) -> bool:
    letters = [letter for letter in unicodedata.normalize("NFKC", word) if letter.isalpha()]
    scripts = [_script(letter) for letter in letters]
    foreign = [script for script in scripts if script != "LATIN"]
    return bool(foreign) and (foreign != ["GREEK"])


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]
