"""The steps of the contenders; no figure is checked."""

from __future__ import annotations

import pytest

from napari_sam3.benchmarks.comparison import DecoderReplay, decoders_in, measure
from napari_sam3.benchmarks.contenders import (
    EngineContender,
    StockContender,
    load_engine_model,
    load_shared_model,
)
from napari_sam3.benchmarks.engine_speed import TimedBackend

FIGURES = ["frames", "encode", "first click", "click", "late click", "decoder"]
PROPAGATION = ["propagate", "propagated", "peak"]


def engine(model, task):
    return EngineContender(load_engine_model(str(model), "cpu"), task)


def stock(model, task):
    return StockContender(load_shared_model(str(model), "cpu"), task)


def test_embedded_model_takes_all_steps(task):
    figures = measure(engine("embedded", task), task)

    assert list(figures) == [*FIGURES, *PROPAGATION]
    assert figures["propagated"] == 100
    assert figures["decoder"] > 0


@pytest.mark.parametrize("fixture", ["tiny_sam2", "tiny_sam3"])
@pytest.mark.parametrize("contender", [engine, stock])
def test_models_of_the_sam_family_take_all_steps(contender, fixture, task, request):
    model = request.getfixturevalue(fixture)

    figures = measure(contender(model, task), task)

    assert list(figures) == [*FIGURES, *PROPAGATION]
    assert figures["decoder"] > 0


def test_stock_classes_encode_every_frame_they_propagate_to(task, tiny_sam3):
    from tests.tiny_models import visits

    contender = stock(tiny_sam3, task)

    with visits(contender.models.backbone.encoder) as calls:
        contender.propagate()

    assert len(calls) == len(task.movie)


def test_reopening_encodes_nothing(task):
    engine("embedded", task).encode()
    backend = TimedBackend(load_engine_model("embedded", "cpu"))
    again = EngineContender(backend, task)

    again.encode()

    assert backend.spent["encode"] == []


def test_decoder_alone_repeats_the_calls_of_a_click(task, tiny_sam2):
    contender = engine(tiny_sam2, task)
    contender.encode()
    decoders = decoders_in(lambda: contender.click(2, task.clicks[2, 0]))

    with DecoderReplay(decoders) as replay:
        contender.click(2, task.clicks[2, 1])

    assert [type(call.decoder).__name__ for call in replay.calls] == ["Sam2VideoMaskDecoder"]
    replay.repeat()
    assert len(replay.calls) == 1
