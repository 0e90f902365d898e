"""Ending what takes a model long: looking at an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sam3.controller.why_disabled import why_disabled
from napari_sam3.engine import progress as watch
from tests.backends import DiskEmbedding
from tests.controller.bench import Bench


@pytest.fixture(autouse=True)
def every_look_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LONG_SECONDS", 0)


def meanwhile(bench: Bench, act: Callable[[], object]) -> None:
    """Let something happen while the next image is looked at, and only then."""
    encode = bench.backend.encode

    def encode_in_steps(image: NDArray[np.float32]) -> DiskEmbedding:
        bench.backend.encode = encode  # type: ignore[method-assign]
        watch.advance(0, 2)
        act()
        watch.advance(1, 2)
        return encode(image)

    bench.backend.encode = encode_in_steps  # type: ignore[method-assign]


def test_stopped_look_leaves_the_prompt_and_says_nothing(bench: Bench) -> None:
    meanwhile(bench, bench.controller.stop)

    bench.click_disk(0)

    assert len(bench.workspace.prompts.points.data) == 1
    assert bench.labels == []
    assert bench.messages == []


def test_prompt_after_a_stopped_look_is_answered(bench: Bench) -> None:
    meanwhile(bench, bench.controller.stop)
    bench.click_disk(0)

    bench.click(0, 30, 12)

    assert bench.mask(0).any()
    assert bench.controller.encoding_progress is None


def test_next_reading_asks_again_after_a_stopped_look(bench: Bench) -> None:
    meanwhile(bench, bench.controller.stop)
    bench.click_disk(0)

    bench.controller.show_next_hypothesis()

    assert bench.mask(0).any()


def test_stop_is_possible_while_an_image_is_looked_at(bench: Bench) -> None:
    said: list[str] = []
    meanwhile(bench, lambda: said.append(why_disabled(bench.controller, "stop")))

    bench.click_disk(0)

    assert said == [""]
    assert why_disabled(bench.controller, "stop") == "Nothing is running."


def test_stop_also_drops_what_waits_for_the_image(held: Bench) -> None:
    held.click_disk(0)
    held.next_object()
    held.click(0, 50, 50)
    meanwhile(held, held.controller.stop)

    held.jobs.run_next()

    assert held.jobs.waiting == {}
    assert held.messages == []


def test_stop_of_a_run_ends_its_look_and_leaves_questions_waiting(held: Bench) -> None:
    held.click_disk(0)
    held.jobs.run_all()
    held.run()
    held.click_disk(5)
    meanwhile(held, held.controller.stop)

    held.jobs.streams[0].finish()

    assert not held.controller.is_running
    assert len(held.jobs.waiting) == 1
    assert held.messages == []


def test_short_look_is_not_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LONG_SECONDS", 60)
    meanwhile(bench, bench.controller.stop)

    bench.click_disk(0)

    assert bench.mask(0).any()
