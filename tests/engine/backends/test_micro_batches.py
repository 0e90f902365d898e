from __future__ import annotations

import pytest
import torch

from napari_sam3.engine.backends.micro_batches import MicroBatches
from napari_sam3.values.errors import ModelError


class Card:
    """A graphics card whose memory holds so many items; it counts its batches."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.batches: list[list[int]] = []

    def square(self, items: list[int]) -> list[int]:
        if len(items) > self.capacity:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.batches.append(list(items))
        return [item**2 for item in items]


def same(_: int) -> None:
    return None


def test_items_of_one_key_are_one_batch():
    card = Card(100)

    results = MicroBatches().run(card.square, range(16), same)

    assert results == [item**2 for item in range(16)]
    assert len(card.batches) == 1


def test_every_key_has_its_batch_and_results_are_in_order():
    card = Card(100)

    results = MicroBatches().run(card.square, range(5), lambda item: item % 2)

    assert results == [0, 1, 4, 9, 16]
    assert card.batches == [[0, 2, 4], [1, 3]]


def test_more_items_than_the_largest_batch_are_several_batches():
    card = Card(100)

    MicroBatches(max_batch=4).run(card.square, range(10), same)

    assert [len(items) for items in card.batches] == [4, 4, 2]


def test_batches_are_halved_until_the_memory_holds_them_and_stay_so():
    card = Card(3)
    batches = MicroBatches(max_batch=16)

    results = batches.run(card.square, range(8), same)
    batches.run(card.square, range(4), same)

    assert results == [item**2 for item in range(8)]
    assert [len(items) for items in card.batches] == [2, 2, 2, 2, 2, 2]


def test_a_card_too_small_for_one_object_is_reported_with_what_to_do():
    with pytest.raises(ModelError, match=r"close other programs.*a smaller model"):
        MicroBatches().run(Card(0).square, range(4), same)


def test_no_items_are_no_batch():
    card = Card(1)

    assert MicroBatches().run(card.square, [], same) == []
    assert card.batches == []
