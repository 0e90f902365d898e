"""One model on one device, for any number of images."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any, Self
from weakref import WeakValueDictionary

from .backends.base import Backend
from .backends.clip.clip import Clip
from .backends.clip.enhanced_phrases import english_remark
from .cache.budgets import Budgets, cache_folder
from .cache.tiers import Embeddings
from .images.contrast import Contrast
from .images.frames import Frames
from .loading import load_backend
from .model import Model
from .results import Results, described
from .session import Session

EMBEDDINGS = "embeddings.zarr"
"""Where embeddings lie in a folder."""


class Engine:
    """A loaded model that answers questions about frames.

    Parameters
    ----------
    backend : Backend
        The model.
    budgets : Budgets, optional
        What its embeddings may occupy; chosen for this computer when left out.
    """

    def __init__(self, backend: Backend, budgets: Budgets | None = None) -> None:
        chosen = budgets or Budgets.of_this_computer(backend.device)
        self._model = Model(backend, chosen)
        self.name = backend.name
        self.device = backend.device

    @classmethod
    def load(
        cls,
        model: str | Path = "embedded",
        device: str = "auto",
        budgets: Budgets | None = None,
    ) -> Self:
        """Load a model.

        Parameters
        ----------
        model : str or Path
            "embedded"; the name of a model on the Hugging Face hub that was downloaded before,
            such as "facebook/sam3"; or a folder or file of weights.
        device : str
            "auto", "cpu", "cuda" or "mps".
        budgets : Budgets, optional
            What its embeddings may occupy; chosen for this computer when left out.

        Raises
        ------
        ModelError
            If the model is not on this computer, or there is no such device.
        WeightsError
            If its weights cannot be used.
        """
        return cls(load_backend(model, device), budgets)

    @staticmethod
    def devices() -> list[str]:
        """Return the names of the devices of this computer, the fastest first."""
        from .devices import available_devices

        return available_devices()

    @property
    def is_closed(self) -> bool:
        """Whether the model was freed."""
        return self._model.is_closed

    @property
    def embeddings(self) -> Embeddings:
        """What the model has seen of all images."""
        return self._model.embeddings

    def open(
        self,
        frames: Any,
        folder: str | Path | None = None,
        contrast: Contrast | None = None,
    ) -> Session:
        """Open a stack to ask about it.

        Parameters
        ----------
        frames : Frames, or an array of shape (H, W), (F, H, W) or (F, H, W, C)
            From numpy, dask or zarr; read lazily, one frame at a time.
        folder : path, optional
            Where results and embeddings are kept, such as "movie.sam3".
        contrast : Contrast, optional
            What the user sees of the stack; estimated from three frames when left out.
        """
        opened = frames if isinstance(frames, Frames) else Frames.from_array(frames)
        seen = Contrast.estimate(opened) if contrast is None else contrast
        results = None if folder is None else self._results(Path(folder), opened, seen)
        if folder is not None:
            self.embeddings.keep(opened, Path(folder) / EMBEDDINGS)
        return Session(self._model, opened, seen, results)

    @property
    def text_model(self) -> Clip | None:
        """What reads texts beside the model."""
        return self._model.clip

    def read_texts_with(self, clip: Clip | None) -> None:
        """Let a text model read what the model cannot, or rank once more what it has found.

        None leaves texts to the model alone. Sessions that are open ask the new one from now on.
        """
        self._model.clip = clip

    def remark(self, text: str) -> str:
        """Say where a text seems to be in a language that is not read here, or nothing."""
        if self._model.clip is not None:
            return self._model.clip.remark(text)
        return english_remark(text, self.name) if self._model.backend.reads_text else ""

    @property
    def reads_text(self) -> bool:
        """Whether texts are understood, by the model or by a text model beside it."""
        return self._model.clip is not None or self._model.backend.reads_text

    @property
    def reads_exemplars(self) -> bool:
        """Whether the model finds what is like an exemplar."""
        return self._model.backend.reads_exemplars

    def close(self) -> None:
        """Free the model; its sessions end."""
        self._model.close()

    def _results(self, folder: Path, frames: Frames, contrast: Contrast) -> Results:
        model = {"name": self.name, "revision": self._model.backend.revision}
        return Results(folder, frames, {"model": model, "contrast": described(contrast)})


_shared: WeakValueDictionary[tuple[str, str], Engine] = WeakValueDictionary()
_sharing = Lock()


def shared_engine(model: str = "embedded", device: str = "auto") -> Engine:
    """Return the engine of this model that the whole process shares.

    It is loaded once, and freed when nobody holds it any more. What it sees of images that are
    opened without a folder is kept among the caches of the user.
    """
    with _sharing:
        known = _shared.get((model, device))
        if known is None or known.is_closed:
            known = _shared[model, device] = Engine.load(model, device)
            known.embeddings.keep_others(cache_folder() / EMBEDDINGS)
        return known
