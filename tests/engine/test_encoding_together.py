"""Several images that go through the encoder of a model together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_sam3.engine.loading import load_backend
from napari_sam3.samples import dividing_cells

MODELS = ["tiny_sam1", "tiny_sam2", "tiny_edgetam", "tiny_sam3", "embedded"]


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    place: str | Path = request.param
    if request.param != "embedded":
        place = request.getfixturevalue(request.param)
    return load_backend(place, "cpu")


def images() -> list[np.ndarray]:
    """Return three different images, each (96, 128, 3) in 0..1."""
    movie = dividing_cells().image[:3, :96, :128].astype(np.float32)
    return [np.repeat(frame[..., None] / movie.max(), 3, axis=2) for frame in movie]


def tensors(part: Any) -> list[torch.Tensor]:
    """Return all tensors of an embedding, however deep."""
    if isinstance(part, torch.Tensor):
        return [part]
    if isinstance(part, tuple):
        return [tensor for one in part for tensor in tensors(one)]
    names = getattr(part, "__slots__", ())
    return [tensor for name in names for tensor in tensors(getattr(part, name))]


def test_images_embedded_together_are_embedded_as_alone(model: Any) -> None:
    together = model.encode_batch(images())

    alone = [model.encode(image) for image in images()]
    for one, other in zip(together, alone, strict=True):
        for here, there in zip(tensors(one), tensors(other), strict=True):
            torch.testing.assert_close(here, there, rtol=2e-2, atol=2e-2)


def test_embedding_does_not_hold_those_made_together_with_it(model: Any) -> None:
    one, *_ = model.encode_batch(images())

    held = {tensor.untyped_storage().data_ptr(): tensor for tensor in tensors(one)}
    assert sum(tensor.untyped_storage().nbytes() for tensor in held.values()) == one.nbytes
    assert one.nbytes == model.encode(images()[0]).nbytes


def test_images_of_different_sizes_may_be_asked_for_together(model: Any) -> None:
    large, small = images()[0], images()[1][:64, :80]

    made = model.encode_batch([large, small])

    assert [one.shape for one in made] == [(96, 128), (64, 80)]
