"""The public face of one loaded model: load it, open stacks with it, free it."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any, Self
from weakref import WeakValueDictionary

from ..storage import EMBEDDINGS, SessionDescription, SessionFolder
from ..values import Geometry
from .backends.base import Backend
from .backends.clip.clip import Clip
from .backends.clip.enhanced_phrases import english_remark
from .cache.budgets import Budgets, cache_folder
from .cache.content_hash import first_frame_digest
from .cache.tiers import Embeddings
from .images.contrast import Contrast, describe_contrast
from .images.frames import Frames
from .loading import load_backend
from .model import Model
from .session import Session


class Engine:
    """A model on a device, for any number of stacks.

    Parameters
    ----------
    backend : Backend
        The loaded network; `load` makes one from a name or a folder.
    budgets : Budgets, optional
        Bytes that its embeddings may occupy; a share of what this computer has when left out.

    Attributes
    ----------
    name : str
        Of the model, such as "embedded" or "facebook/sam3".
    device : str
        Where it runs: "cpu", "cuda" or "mps".
    """

    def __init__(self, backend: Backend, budgets: Budgets | None = None) -> None:
        self._model = Model(backend, budgets or Budgets.of_this_computer(backend.device))
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
            Bytes that its embeddings may occupy; a share of what this computer has when left out.

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
        from .devices import available_devices  # torch takes seconds to import

        return available_devices()

    def open(
        self,
        frames: Any,
        folder: str | Path | None = None,
        contrast: Contrast | None = None,
    ) -> Session:
        """Open a stack.

        Parameters
        ----------
        frames : Frames, or an array of shape (H, W), (F, H, W) or (F, H, W, C)
            From NumPy, dask or zarr; read lazily, one frame at a time.
        folder : path, optional
            The session folder, where masks and embeddings are kept, such as "movie.sam3".
        contrast : Contrast, optional
            Limits and colours of the channels; estimated from three frames when left out.

        Raises
        ------
        FramesError
            If the array is not a stack of frames, or cannot be read.
        StorageError
            If the folder cannot be written, or belongs to another image.
        """
        stack = frames if isinstance(frames, Frames) else Frames.from_array(frames)
        composed = Contrast.estimate(stack) if contrast is None else contrast
        if folder is None:
            return Session(self._model, stack, composed)
        kept = SessionFolder.open(Path(folder), self._description(stack, composed))
        self.embeddings.set_folder(stack, Path(folder) / EMBEDDINGS)
        return Session(self._model, stack, composed, kept)

    @property
    def is_closed(self) -> bool:
        """Whether the model was freed."""
        return self._model.is_closed

    def close(self) -> None:
        """Free the model and its embeddings in memory; its sessions end."""
        self._model.close()

    @property
    def embeddings(self) -> Embeddings:
        """The embedding cache, shared by all stacks."""
        return self._model.embeddings

    @property
    def reads_text(self) -> bool:
        """Whether `Session.find` reads texts, by the model or by a text model beside it."""
        return self._model.clip is not None or self._model.backend.reads_text

    @property
    def reads_exemplars(self) -> bool:
        """Whether `Session.find` reads exemplars."""
        return self._model.backend.reads_exemplars

    @property
    def text_model(self) -> Clip | None:
        """The text model beside the model, if there is one."""
        return self._model.clip

    def read_texts_with(self, clip: Clip | None) -> None:
        """Let a text model read what the model cannot, or rank the candidates of one that can.

        None leaves texts to the model alone. Sessions that are open use the new text model at once.
        """
        self._model.clip = clip

    def remark(self, text: str) -> str:
        """Return a remark where a text seems to be in a language that is not read; else ""."""
        if self._model.clip is not None:
            return self._model.clip.remark(text)
        return english_remark(text, self.name) if self._model.backend.reads_text else ""

    def _description(self, frames: Frames, contrast: Contrast) -> SessionDescription:
        """Describe what masks of a stack are made from; a single frame has no axis of frames."""
        shape = frames.shape if frames.count == 1 else (frames.count, *frames.shape)
        return SessionDescription(
            shape,
            Geometry.of_pixels("tyx"[-len(shape) :]),
            first_frame_digest(frames),
            self._model.description,
            describe_contrast(contrast),
        )


_shared: WeakValueDictionary[tuple[str, str], Engine] = WeakValueDictionary()
_shared_lock = Lock()


def shared_engine(model: str = "embedded", device: str = "auto") -> Engine:
    """Return the engine of this model that the whole process shares.

    It is loaded once, and freed when nobody holds it any more. Embeddings of stacks that are opened
    without a folder are kept in the cache folder of the user.
    """
    with _shared_lock:
        engine = _shared.get((model, device))
        if engine is None or engine.is_closed:
            engine = _shared[model, device] = Engine.load(model, device)
            engine.embeddings.set_default_folder(cache_folder() / EMBEDDINGS)
        return engine
