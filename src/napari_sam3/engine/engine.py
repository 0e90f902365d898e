"""One model on one device, for any number of images."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any, Self
from weakref import WeakValueDictionary

from .backend import Backend
from .contrast import Contrast
from .embeddings import EmbeddingCache
from .frames import Frames
from .loading import load_backend
from .model import Model
from .results import Results, described
from .session import Session

CACHE_BYTES = 2**30
"""What the embeddings of all images may occupy together."""


class Engine:
    """A loaded model that answers questions about frames.

    Parameters
    ----------
    backend : Backend
        The model.
    cache_bytes : int
        What its embeddings may occupy.
    """

    def __init__(self, backend: Backend, cache_bytes: int = CACHE_BYTES) -> None:
        self._model = Model(backend, cache_bytes)
        self.name = backend.name
        self.device = backend.device

    @classmethod
    def load(cls, model: str | Path = "embedded", device: str = "auto") -> Self:
        """Load a model.

        Parameters
        ----------
        model : str or Path
            "embedded"; the name of a model on the Hugging Face hub that was downloaded before,
            such as "facebook/sam3"; or a folder or file of weights.
        device : str
            "auto", "cpu", "cuda" or "mps".

        Raises
        ------
        ModelError
            If the model is not on this computer, or there is no such device.
        WeightsError
            If its weights cannot be used.
        """
        return cls(load_backend(model, device))

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
    def embeddings(self) -> EmbeddingCache:
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
            Where results are kept, such as "movie.sam3".
        contrast : Contrast, optional
            What the user sees of the stack; estimated from three frames when left out.
        """
        opened = frames if isinstance(frames, Frames) else Frames.from_array(frames)
        seen = Contrast.estimate(opened) if contrast is None else contrast
        results = None if folder is None else self._results(Path(folder), opened, seen)
        return Session(self._model, opened, seen, results)

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

    It is loaded once, and freed when nobody holds it any more.
    """
    with _sharing:
        known = _shared.get((model, device))
        if known is None or known.is_closed:
            known = _shared[model, device] = Engine.load(model, device)
        return known
