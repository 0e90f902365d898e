from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from napari_sam3.engine.bounded_cache import BoundedCache


@dataclass
class Block:
    nbytes: int


def cache_of(*sizes: int, max_bytes: int = 100) -> BoundedCache[int, Block]:
    cache: BoundedCache[int, Block] = BoundedCache(max_bytes)
    for key, size in enumerate(sizes):
        cache.put(key, Block(size))
    return cache


def test_kept_value_is_returned_again() -> None:
    cache = cache_of(10)

    assert cache.get(0) is not None
    assert cache.get(1) is None
    assert (len(cache), cache.nbytes) == (1, 10)


def test_least_recently_used_value_is_evicted_first() -> None:
    cache = cache_of(40, 40, 40)

    assert [key for key in range(3) if cache.get(key)] == [1, 2]


def test_recently_used_value_stays() -> None:
    cache = cache_of(40, 40)
    cache.get(0)
    cache.put(2, Block(40))

    assert [key for key in range(3) if cache.get(key)] == [0, 2]


def test_evicted_values_are_returned() -> None:
    cache = cache_of(40, 40)

    evicted = cache.put(2, Block(70))
    refused = cache.put(3, Block(101))

    assert [key for key, _ in evicted] == [0, 1]
    assert [key for key, _ in refused] == [3]


def test_value_larger_than_the_cache_is_not_kept_and_evicts_nothing() -> None:
    cache = cache_of(40, 101)

    assert [key for key in range(2) if cache.get(key)] == [0]


def test_value_put_again_is_counted_once() -> None:
    cache = cache_of(40)
    cache.put(0, Block(30))

    assert (len(cache), cache.nbytes) == (1, 30)


def test_cache_never_exceeds_its_bytes() -> None:
    cache = cache_of()
    sizes = np.random.default_rng(0).integers(1, 120, 500)

    nbytes = []
    for key, size in enumerate(sizes):
        cache.put(key % 50, Block(int(size)))
        nbytes.append(cache.nbytes)

    assert max(nbytes) <= 100


def test_threads_leave_the_count_right() -> None:
    cache = cache_of()

    def use(seed: int) -> None:
        for key in np.random.default_rng(seed).integers(0, 20, 500):
            if cache.get(int(key)) is None:
                cache.put(int(key), Block(int(key)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))

    assert cache.nbytes == sum(block.nbytes for key in range(20) if (block := cache.get(key)))


def test_unwanted_and_cleared_values_free_their_bytes() -> None:
    cache = cache_of(10, 20, 30)

    cache.discard(lambda key: key == 1)
    after_discarding = cache.nbytes
    cache.clear()

    assert (after_discarding, cache.nbytes, len(cache)) == (40, 0, 0)
