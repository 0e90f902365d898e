"""Progress of a run in napari's activity dock, with the time that remains."""

from __future__ import annotations

from napari.utils import progress

from ..controller.propagation import Progress


class Activity:
    """One bar for one run."""

    def __init__(self) -> None:
        self._bar: progress | None = None

    def show(self, run: Progress | None) -> None:
        """Show how far a run has come, or no bar when there is none."""
        if run is None:
            self.end()
            return
        if self._bar is None:
            self._bar = progress(total=run.total, desc="Following objects")
        self._bar.update(run.done - self._bar.n)

    def end(self) -> None:
        """Take the bar away."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
