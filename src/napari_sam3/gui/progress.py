"""Progress of a run in napari's activity dock, with the time that remains."""

from __future__ import annotations

from napari.utils import progress
from psygnal import Signal

from ..controller import Controller, Progress
from ..engine import EncodingProgress
from .jobs import BackgroundJobs, Clock


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


POLL_MS = 200  # how often progress is looked at


class EncodingMonitor:
    """Says how far the model has come with an image, while that takes long."""

    advanced = Signal(str)  # what the model does; empty once it is done

    def __init__(self, jobs: BackgroundJobs, controller: Controller) -> None:
        self._jobs = jobs
        self._controller = controller
        self._said = ""
        self._is_open = False
        self._clock = Clock.every(POLL_MS, self._look)
        jobs.began.connect(self._on_jobs_began)

    def close(self) -> None:
        """End looking at an image, and tell nobody any more."""
        if self._is_open:
            self._controller.works.stop_encoding()
            self._rest()

    def _look(self) -> None:
        what = _told(self._controller.encoding_progress)
        if not self._jobs.is_busy:
            self._rest()
        if what != self._said:
            self._said = what
            self.advanced.emit(what)

    def _rest(self) -> None:
        self._is_open = False
        self._clock.stop()

    def _on_jobs_began(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._clock.start()


def _told(encoding_progress: EncodingProgress | None) -> str:
    if encoding_progress is None:
        return ""
    if not encoding_progress.total:
        return "looking at the image …"
    return f"looking at the image, {100 * encoding_progress.done // encoding_progress.total} %"
