from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sam3.engine.backends.base import Backend
from napari_sam3.engine.backends.tensors import packed_tensors, unpacked_tensors
from napari_sam3.engine.cache.content_hash import ContentHash
from napari_sam3.engine.cache.disk_cache import EmbeddingStore
from napari_sam3.engine.loading import load_backend
from napari_sam3.values.prompts import Prompts
from tests.backends import ellipse

HASH = ContentHash("revision", "contrast", "whole", "pixels")
PROMPTS = [Prompts(points=[(40, 50)]), Prompts(boxes=[(20, 30, 60, 80)])]
IMAGE = np.repeat(ellipse((97, 130), (40, 50), (15, 20))[..., None], 3, 2).astype(np.float32)
SAM = ["tiny_sam1", "tiny_sam2", "tiny_edgetam", "tiny_sam3"]


@pytest.fixture(params=["embedded", *SAM])
def backend(request: pytest.FixtureRequest) -> Backend:
    is_shipped = request.param == "embedded"
    return load_backend("embedded" if is_shipped else request.getfixturevalue(request.param), "cpu")


def test_embedding_from_disk_gives_the_same_masks(backend: Backend, tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, 2**30)
    embedding = backend.encode(IMAGE)
    store.put(HASH, backend.pack(embedding))

    again = backend.unpack(store.get(HASH))

    assert again.nbytes == embedding.nbytes
    predictions = [backend.segment(each, PROMPTS, [None, None]) for each in (embedding, again)]
    for first, second in zip(*predictions, strict=True):
        assert first.presence == second.presence
        for hypothesis, unpacked in zip(first.hypotheses, second.hypotheses, strict=True):
            assert hypothesis.score == unpacked.score
            np.testing.assert_array_equal(hypothesis.pixels, unpacked.pixels)


def test_packing_on_the_cpu_copies_nothing(backend: Backend) -> None:
    embedding = backend.encode(IMAGE)

    packed, again = backend.pack(embedding), backend.pack(embedding)

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
