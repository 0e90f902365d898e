from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Budgets, Channel, Contrast, Frames
from napari_sam3.engine.images.model_input import ModelInput
from napari_sam3.engine.model import Model
from napari_sam3.values.errors import ModelError
from tests.backends import DiskBackend

CONTRAST = Contrast((Channel((0, 255)),))


def picture(value: int = 0, contrast: Contrast = CONTRAST) -> ModelInput:
    return ModelInput(Frames.from_array(np.full((3, 16, 16), value, np.uint8)), contrast, 1)


def look(model: Model, seen: ModelInput) -> object:
    with model.embedded(seen, model.turns.interactive()) as embedding:
        return embedding


def test_picture_is_embedded_once(backend: DiskBackend) -> None:
    model, seen = Model(backend, Budgets(2**20)), picture()

    assert look(model, seen) is look(model, seen)
    assert backend.encoded == 1


def test_other_contrast_is_another_embedding(backend: DiskBackend) -> None:
    model, seen = Model(backend, Budgets(2**20)), picture()
    brighter = ModelInput(seen.frames, Contrast((Channel((0, 99)),)), seen.frame)

    assert look(model, seen) is not look(model, brighter)
    assert look(model, seen) is not look(model, picture())


def test_other_revision_of_the_model_is_another_embedding(backend: DiskBackend) -> None:
    model, seen = Model(backend, Budgets(2**20)), picture()
    look(model, seen)

    backend.revision = "2"
    look(model, seen)

    assert backend.encoded == 2


def test_latest_embedding_is_kept_even_if_it_exceeds_the_cache(backend: DiskBackend) -> None:
    model, seen = Model(backend, Budgets(10)), picture()

    look(model, seen)
    look(model, seen)

    assert (backend.encoded, model.embeddings.nbytes) == (1, 0)


def test_embeddings_cannot_be_changed(backend: DiskBackend) -> None:
    embedding = look(Model(backend, Budgets(2**20)), picture())

    with pytest.raises(ValueError, match="read-only"):
        embedding.grey[0] = 1


def test_closed_model_holds_nothing_and_says_so(backend: DiskBackend) -> None:
    model, seen = Model(backend, Budgets(2**20)), picture()
    look(model, seen)

    model.close()

    assert (len(model.embeddings), model.is_closed) == (0, True)
    with pytest.raises(ModelError, match="load it again"):
        look(model, seen)
