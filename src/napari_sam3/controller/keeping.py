"""Exemplars kept by name, and used again on other images and on other days."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from psygnal import Signal

from ..engine import Exemplar, Library, Sam3Error
from .finder import Finder


class Keeping:
    """Puts the exemplars of the current concept into a library, and takes others out.

    Parameters
    ----------
    finder : Finder
        Who looks for them.
    library : Library
        Where they are kept.
    """

    changed = Signal()
    failed = Signal(str)

    def __init__(self, finder: Finder, library: Library) -> None:
        self.library = library
        self._finder = finder

    def names(self) -> list[str]:
        """Return the names of what is kept; none where the library cannot be read."""
        try:
            return self.library.names()
        except Sam3Error as error:
            self.failed.emit(str(error))
            return []

    def exemplars(self, name: str) -> list[Exemplar]:
        """Return what is kept by a name; nothing where it cannot be read."""
        try:
            return self.library.load(name)
        except Sam3Error as error:
            self.failed.emit(str(error))
            return []

    def keep(self, name: str) -> None:
        """Keep the exemplars of the current concept, in the place of others of that name."""
        work, concept = self._finder.begin(), self._finder.current
        if work is not None and concept is not None:
            work.finding.show_exemplars(concept, partial(self._on_exemplars_shown, name))

    def use(self, name: str) -> None:
        """Look for what is kept by a name."""
        exemplars = self.exemplars(name)
        if exemplars:
            self._finder.borrow(name, exemplars)

    def remove(self, name: str) -> None:
        """Keep the exemplars of a name no longer."""
        try:
            self.library.remove(name)
        except Sam3Error as error:
            self.failed.emit(str(error))
        self.changed.emit()

    def _on_exemplars_shown(self, name: str, exemplars: Sequence[Exemplar]) -> None:
        try:
            self.library.save(name, exemplars)
        except Sam3Error as error:
            self.failed.emit(str(error))
        self.changed.emit()
