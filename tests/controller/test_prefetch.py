"""What is embedded before the user asks about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam3.controller import prefetch as neighbours
from napari_sam3.controller.prefetch import CHECKED_AT_ONCE, Prefetch
from napari_sam3.engine import ModelError
from napari_sam3.engine import prefetch as engine_ahead
from tests.backends import disk_frames
from tests.controller.bench import MOVIE, Bench, SeeingBackend
from tests.jobs import HeldJobs


@pytest.fixture
def rested(held: Bench) -> Bench:
    """A click on frame 5 that was answered, in a viewer that looks at that frame."""
    held.click_disk(5)
    held.jobs.run_all()
    return held


def ready(bench: Bench) -> list[int]:
    """Name the frames that are shown as ready."""
    readiness = bench.controller.prefetch.readiness
    readiness.unsettle()
    readiness.check_next()
    return readiness.flags.nonzero()[0].tolist()


def prefetch(bench: Bench) -> Prefetch:
    return bench.controller.prefetch


def test_neighbours_are_embedded_nearest_first(rested: Bench) -> None:
    prefetch(rested).encode_neighbours()

    rested.jobs.streams[0].advance(4)

    assert ready(rested) == [3, 4, 5, 6, 7]


def test_frames_ahead_in_the_direction_of_travel_come_first(rested: Bench) -> None:
    rested.go_to(8)
    rested.go_to(4)
    prefetch(rested).encode_neighbours()

    rested.jobs.streams[0].advance(2)

    assert ready(rested) == [3, 4, 5]


def test_nothing_is_embedded_before_the_first_click(held: Bench) -> None:
    held.go_to(3)

    prefetch(held).encode_neighbours()

    assert held.jobs.streams == []


def test_slow_models_embed_nothing_nobody_asked_for(
    rested: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "CHEAP_SECONDS", 0)

    prefetch(rested).encode_neighbours()

    assert rested.jobs.streams == []


def test_model_that_turns_out_slow_embeds_one_frame_and_no_more(
    rested: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefetch(rested).encode_neighbours()
    monkeypatch.setattr(neighbours, "CHEAP_SECONDS", 0)

    rested.jobs.streams[0].finish()

    assert ready(rested) == [5, 6]


def test_no_more_is_embedded_than_fits_into_half_of_the_memory(rested: Bench) -> None:
    frame_bytes = MOVIE[0].size * 4
    embeddings = rested.engine._model.embeddings
    embeddings.on_device.max_bytes = 2 * 3 * frame_bytes

    prefetch(rested).encode_neighbours()

    rested.jobs.streams[0].finish()
    assert ready(rested) == [4, 5, 6]


@pytest.mark.parametrize(
    "disturb",
    [
        lambda bench: bench.go_to(6),
        lambda bench: bench.click(5, 40, 40),
        lambda bench: bench.run(),
        lambda bench: bench.controller.close(),
    ],
)
def test_moving_prompting_and_running_stop_it(rested: Bench, disturb) -> None:
    prefetch(rested).encode_neighbours()

    disturb(rested)

    assert rested.jobs.streams[0].is_stopped


def test_nothing_is_embedded_while_objects_are_followed(rested: Bench) -> None:
    rested.run()

    prefetch(rested).encode_neighbours()

    assert len(rested.jobs.streams) == 1


def test_rest_after_a_stop_begins_again(rested: Bench) -> None:
    prefetch(rested).encode_neighbours()
    rested.go_to(6)
    prefetch(rested).encode_neighbours()

    for stream in rested.jobs.streams:
        stream.finish()

    assert ready(rested) == list(range(10))
    assert rested.backend.encoded == 10
    assert rested.messages == []


def test_click_next_door_encodes_nothing(rested: Bench) -> None:
    prefetch(rested).encode_neighbours()
    rested.jobs.streams[0].finish()

    rested.click_disk(6)
    rested.jobs.run_all()

    assert rested.backend.encoded == 10


def test_stack_is_encoded_from_the_frame_that_is_looked_at_on(held: Bench) -> None:
    held.go_to(7)
    prefetch(held).encode_stack()

    held.jobs.streams[0].advance(4)

    assert ready(held) == [0, 7, 8, 9]


def test_outlook_tells_time_and_memory_after_the_first_frame(held: Bench) -> None:
    prefetch(held).readiness.check_next()
    before = prefetch(held).stack.forecast
    prefetch(held).encode_stack()

    held.jobs.streams[0].advance(1)

    after = prefetch(held).stack.forecast
    assert before is not None
    assert after is not None
    assert (before.seconds, before.nbytes) == (None, None)
    assert (after.ready, after.count, after.nbytes) == (1, 10, MOVIE.size * 4)
    assert after.seconds is not None


def test_paused_stack_is_resumed_with_what_is_left(held: Bench) -> None:
    prefetch(held).encode_stack()
    held.jobs.streams[0].advance(4)

    prefetch(held).stack.pause()
    state = prefetch(held).stack.state
    prefetch(held).encode_stack()
    held.jobs.streams[0].finish()
    held.jobs.streams[1].finish()

    assert state == "paused"
    assert held.backend.encoded == 10
    assert prefetch(held).stack.state == "idle"


def test_clicks_are_answered_while_a_stack_is_encoded(held: Bench) -> None:
    prefetch(held).encode_stack()
    held.jobs.streams[0].advance(2)

    held.click_disk(8)
    held.jobs.run_all()

    assert held.mask(8).any()
    assert prefetch(held).stack.state == "running"


def test_stack_without_room_is_paused_after_its_first_frame(held: Bench) -> None:
    held.engine._model.embeddings.on_device.max_bytes = 4 * MOVIE[0].size * 4
    prefetch(held).encode_stack()

    held.jobs.streams[0].advance(1)

    assert prefetch(held).stack.state == "paused"
    assert prefetch(held).stack.fitting == 3
    assert "no room" in held.messages[0]


def test_as_many_frames_as_fit_are_encoded_when_that_is_asked_for(held: Bench) -> None:
    held.engine._model.embeddings.on_device.max_bytes = 4 * MOVIE[0].size * 4
    held.click_disk(2)
    held.jobs.run_all()
    prefetch(held).readiness.check_next()

    prefetch(held).encode_stack(prefetch(held).stack.fitting)
    held.jobs.streams[0].finish()

    assert ready(held) == [2, 3, 4, 5]
    assert held.messages == []


def test_removed_image_is_encoded_no_further(held: Bench) -> None:
    prefetch(held).encode_stack()

    held.viewer.layers.remove(held.image)

    assert held.jobs.streams[0].is_stopped


def test_replaced_pixels_are_encoded_no_further(held: Bench) -> None:
    prefetch(held).encode_stack()
    held.jobs.streams[0].advance(2)

    held.image.data = MOVIE[::-1].copy()
    stopped = held.jobs.streams[0].is_stopped
    prefetch(held).encode_stack()

    assert stopped
    assert len(held.jobs.streams) == 2
    assert not held.jobs.streams[1].is_stopped


def test_what_ends_encoding_is_told(held: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    prefetch(held).encode_stack()
    held.jobs.streams[0].advance(1)
    monkeypatch.setattr(SeeingBackend, "encode", _fail)

    held.jobs.streams[0].finish()

    assert prefetch(held).stack.state == "paused"
    assert held.messages == ["The model is ill: take another one."]


def test_thousands_of_frames_are_looked_up_some_at_a_time(bench_of) -> None:
    bench = bench_of(disk_frames([(8, 8)] * (CHECKED_AT_ONCE + 50), shape=(16, 16)))
    bench.click(3, 8, 8)
    readiness = bench.controller.prefetch.readiness

    readiness.check_next()
    is_settled = readiness.is_settled
    readiness.check_next()

    assert not is_settled
    assert readiness.is_settled
    assert readiness.flags.nonzero()[0].tolist() == [3]


@pytest.mark.parametrize("cheap", [2, 0])
def test_what_was_kept_of_a_stack_is_shown_when_it_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap: float
) -> None:
    monkeypatch.setattr(neighbours, "CHEAP_SECONDS", cheap)
    benches = []
    for _ in range(2):
        bench = Bench(HeldJobs())
        bench.engine.embeddings.set_default_folder(tmp_path)
        bench.add_image(MOVIE)
        bench.click_disk(5)
        bench.jobs.run_all()
        benches.append(bench)
        if len(benches) == 1:
            prefetch(bench).encode_stack()
            bench.jobs.streams[-1].finish()
            bench.engine.embeddings.finish()
    again = benches[1]
    monkeypatch.setattr(engine_ahead, "PREFETCH_REACH", 0)  # so that no neighbours are loaded
    encoded = again.backend.encoded

    before = ready(again)
    prefetch(again).encode_neighbours()
    again.jobs.streams[-1].finish()
    prefetch(again).encode_neighbours()

    assert before == [5]
    assert ready(again) == list(range(10))
    assert again.backend.encoded == encoded == 0
    assert len(again.jobs.streams) == 1


def _fail(*_: object) -> None:
    raise ModelError("The model is ill: take another one.")
