"""A model that implements nothing but an encoder refuses all else, and names one that can."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_sam3.engine import ModelError
from napari_sam3.engine.backends.base import Backend, Packed, Prediction
from napari_sam3.values import Concept, Prompts
from tests.backends import DiskEmbedding

IMAGE = np.zeros((8, 8, 3), np.float32)
EMBEDDING = DiskEmbedding(IMAGE[..., 0])
BOX = (1.0, 1.0, 4.0, 4.0)


class Encoder(Backend):
    """Encodes images and does nothing with them."""

    name = "encoder"
    revision = "1"
    device = "cpu"

    def encode(self, image: np.ndarray) -> DiskEmbedding:
        return DiskEmbedding(image.mean(axis=2))


def test_several_images_are_encoded_one_by_one() -> None:
    embeddings = Encoder().encode_batch([IMAGE, IMAGE + 1])

    assert [float(embedding.grey.mean()) for embedding in embeddings] == [0, 1]


def test_model_that_does_not_say_so_reads_neither_texts_nor_exemplars() -> None:
    assert not Encoder().reads_text
    assert not Encoder().reads_exemplars


def test_model_of_exemplars_alone_refuses_a_text_with_another_advice() -> None:
    model = Encoder()
    model.reads_exemplars = True

    with pytest.raises(ModelError, match=r"reads no text: draw a box.*facebook/sam3"):
        model.find(EMBEDDING, Concept("cell"))


@pytest.mark.parametrize(("use", "message"), [
    (lambda model: model.segment(EMBEDDING, [Prompts()], [None]), "takes no points.*embedded"),
    (lambda model: model.everything(EMBEDDING), "without prompts.*embedded or facebook/sam3"),
    (lambda model: model.find(EMBEDDING, Concept("cell")), "click on the objects.*embedded"),
    (lambda model: model.find(EMBEDDING, Concept(exemplars=[BOX])), "like an exemplar.*embedded"),
    (lambda model: model.appearance(EMBEDDING, BOX), "embedded or facebook/sam3, which can"),
    (lambda model: model.propagate(EMBEDDING, []), "single images.*embedded"),
    (
        lambda model: model.update_memory(None, EMBEDDING, Prediction.given(IMAGE[..., 0] == 0)),
        "single images.*which propagates",
    ),
    (lambda model: model.pack(EMBEDDING), "cannot keep what it has encoded"),
    (lambda model: model.unpack(Packed({}, {})), "cannot keep what it has encoded"),
])  # fmt: skip
def test_what_a_model_cannot_do_is_refused(use: Callable[[Backend], object], message: str) -> None:
    with pytest.raises(ModelError, match=f"encoder .*{message}"):
        use(Encoder())
