from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Budgets, Channel, Contrast, Frames
from napari_sam3.engine.images.model_input import ModelInput
from napari_sam3.engine.model import Model
from napari_sam3.values.errors import ModelError
from tests.backends import DiskBackend

CONTRAST = Contrast((Channel((0, 255)),))


def model_input(value: int = 0, contrast: Contrast = CONTRAST) -> ModelInput:
    return ModelInput(Frames.from_array(np.full((3, 16, 16), value, np.uint8)), contrast, 1)


def embedding_of(model: Model, shown: ModelInput) -> object:
    with model.embedding(shown, model.turns.interactive()) as embedding:
        return embedding


def test_model_input_is_encoded_once(backend: DiskBackend) -> None:
    model, shown = Model(backend, Budgets(2**20)), model_input()

    assert embedding_of(model, shown) is embedding_of(model, shown)
    assert backend.encoded == 1


def test_another_contrast_is_another_embedding(backend: DiskBackend) -> None:
    model, shown = Model(backend, Budgets(2**20)), model_input()
    brighter = ModelInput(shown.frames, Contrast((Channel((0, 99)),)), shown.frame)

    assert embedding_of(model, shown) is not embedding_of(model, brighter)
    assert embedding_of(model, shown) is not embedding_of(model, model_input())


def test_another_revision_of_the_model_is_another_embedding(backend: DiskBackend) -> None:
    model, shown = Model(backend, Budgets(2**20)), model_input()
    embedding_of(model, shown)

    backend.revision = "2"
    embedding_of(model, shown)

    assert backend.encoded == 2


def test_latest_embedding_is_cached_even_if_it_exceeds_the_cache(backend: DiskBackend) -> None:
    model, shown = Model(backend, Budgets(10)), model_input()

    embedding_of(model, shown)
    embedding_of(model, shown)

    assert (backend.encoded, model.embeddings.nbytes) == (1, 0)


def test_embeddings_cannot_be_changed(backend: DiskBackend) -> None:
    embedding = embedding_of(Model(backend, Budgets(2**20)), model_input())

    with pytest.raises(ValueError, match="read-only"):
        embedding.grey[0] = 1


def test_closed_model_holds_nothing_and_says_so(backend: DiskBackend) -> None:
    model, shown = Model(backend, Budgets(2**20)), model_input()
    embedding_of(model, shown)

    model.close()

    assert (len(model.embeddings), model.is_closed) == (0, True)
    with pytest.raises(ModelError, match="load it again"):
        embedding_of(model, shown)
