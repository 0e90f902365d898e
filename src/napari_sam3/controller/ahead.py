"""What is embedded before anybody asks about it."""

from __future__ import annotations

from psygnal import Signal

from .focus import Focus
from .jobs import Jobs
from .neighbours import Neighbours
from .readiness import Readiness
from .stack_encoding import StackEncoding
from .views import View
from .works import Works


class Ahead:
    """The neighbours of the frame that is looked at, or the whole stack; never both at once."""

    changed = Signal()
    failed = Signal(str)

    def __init__(self, focus: Focus, works: Works, jobs: Jobs) -> None:
        self.readiness = Readiness(focus, works)
        self._works = works
        self.neighbours = Neighbours(focus, works, jobs)
        self.stack = StackEncoding(focus, works, jobs, self.readiness)
        self.neighbours.arrived.connect(self._on_arrived)
        self.stack.arrived.connect(self._on_arrived)
        self.stack.changed.connect(self._on_changed)
        self.stack.failed.connect(self._on_failed)

    @property
    def trouble(self) -> str:
        """Why what the model has seen is not kept on disk, for the user; empty when it is."""
        engine = self._works.engine
        return "" if engine is None else engine.embeddings.trouble

    def close(self) -> None:
        """Stop what runs."""
        self.neighbours.close()
        self.stack.pause()

    def encode_stack(self, most: int | None = None) -> None:
        """Embed the stack that is looked at, or so many frames of it."""
        self.neighbours.stop()
        self.stack.start(most)

    def look_around(self) -> None:
        """Embed the neighbours of the frame that is looked at, if it is worth it."""
        if self.stack.state != "running":
            self.neighbours.look_around()

    def _on_arrived(self, view: View, frame: int) -> None:
        self.readiness.add(view, frame)
        self.changed.emit()

    def _on_changed(self) -> None:
        self.changed.emit()

    def _on_failed(self, message: str) -> None:
        self.failed.emit(message)
