"""Progress of a run in napari's activity dock, with the time that remains."""

from __future__ import annotations

from napari.utils import progress


class Activity:
    """One bar for one run."""

    def __init__(self) -> None:
        self._bar: progress | None = None

    def start(self, total: int) -> None:
        """Show a bar for this many masks."""
        self.end()
        self._bar = progress(total=total, desc="Following objects")

    def advance(self, done: int) -> None:
        """Show how many masks are done."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
