"""Embeddings of tensors of all models that run on torch: packed, and encoded in batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.tensors import packed_tensors, unpacked_tensors
from napari_sam3.engine.cache.content_hash import ContentHash
from napari_sam3.engine.cache.disk_cache import EmbeddingStore
from napari_sam3.engine.loading import load_backend
from napari_sam3.samples import dividing_cells
from napari_sam3.values.prompts import Prompts
from tests.backends import ellipse

MODELS = ["embedded", "tiny_sam1", "tiny_sam2", "tiny_edgetam", "tiny_sam3"]
HASH = ContentHash("revision", "contrast", "whole", "pixels")
PROMPTS = [Prompts(points=[(40, 50)]), Prompts(boxes=[(20, 30, 60, 80)])]
IMAGE = np.repeat(ellipse((97, 130), (40, 50), (15, 20))[..., None], 3, 2).astype(np.float32)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    is_shipped = request.param == "embedded"
    return load_backend("embedded" if is_shipped else request.getfixturevalue(request.param), "cpu")


def images() -> list[np.ndarray]:
    """Return three different images, each (96, 128, 3) in 0..1."""
    movie = dividing_cells().image[:3, :96, :128].astype(np.float32)
    return [np.repeat(frame[..., None] / movie.max(), 3, axis=2) for frame in movie]


def tensors(part: Any) -> list[torch.Tensor]:
    """Return all tensors of an embedding, however deep."""
    if isinstance(part, torch.Tensor):
        return [part]
    if isinstance(part, tuple):
        return [tensor for item in part for tensor in tensors(item)]
    names = getattr(part, "__slots__", ())
    return [tensor for name in names for tensor in tensors(getattr(part, name))]


def test_embedding_from_disk_gives_the_same_masks(model: Any, tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, 2**30)
    embedding = model.encode(IMAGE)
    store.put(HASH, model.pack(embedding))

    again = model.unpack(store.get(HASH))

    assert again.nbytes == embedding.nbytes
    predictions = [model.segment(each, PROMPTS, [None, None]) for each in (embedding, again)]
    for first, second in zip(*predictions, strict=True):
        assert first.presence == second.presence
        for hypothesis, unpacked in zip(first.hypotheses, second.hypotheses, strict=True):
            assert hypothesis.score == unpacked.score
            np.testing.assert_array_equal(hypothesis.pixels, unpacked.pixels)


def test_packing_on_the_cpu_copies_nothing(model: Any) -> None:
    embedding = model.encode(IMAGE)

    packed, again = model.pack(embedding), model.pack(embedding)

    assert packed.nbytes == embedding.nbytes
    for name, array in packed.arrays.items():
        assert np.shares_memory(array, again.arrays[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_tensors_are_unpacked_with_every_bit(dtype: torch.dtype) -> None:
    tensor = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).to(dtype)

    packed = packed_tensors({"weights": tensor}, {"shape": [3, 5]})
    again = unpacked_tensors(packed, "cpu")["weights"]

    assert packed.arrays["weights"].dtype.itemsize == tensor.itemsize
    assert (again.dtype, again.tolist()) == (dtype, tensor.tolist())


def test_images_encoded_together_are_encoded_as_alone(model: Any) -> None:
    together = model.encode_batch(images())

    alone = [model.encode(image) for image in images()]
    for batched, single in zip(together, alone, strict=True):
        for own, expected in zip(tensors(batched), tensors(single), strict=True):
            torch.testing.assert_close(own, expected, rtol=2e-2, atol=2e-2)


def test_embedding_does_not_hold_the_rest_of_its_batch(model: Any) -> None:
    first, *_ = model.encode_batch(images())

    held = {tensor.untyped_storage().data_ptr(): tensor for tensor in tensors(first)}
    assert sum(tensor.untyped_storage().nbytes() for tensor in held.values()) == first.nbytes
    assert first.nbytes == model.encode(images()[0]).nbytes


def test_images_of_different_sizes_may_be_encoded_together(model: Any) -> None:
    large, small = images()[0], images()[1][:64, :80]

    embeddings = model.encode_batch([large, small])

    assert [embedding.shape for embedding in embeddings] == [(96, 128), (64, 80)]
