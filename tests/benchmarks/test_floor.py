from __future__ import annotations

from napari_sam3.benchmarks.contenders import load_engine_model
from napari_sam3.benchmarks.floor import measure_step, model_steps


def test_floor_counts_operations_and_bytes():
    rates = {"float32": 1e12, "bfloat16": 1e12, "bytes": 1e10}

    steps = model_steps(load_engine_model("embedded", "cpu"), 128)
    figures = {name: measure_step(step, rates, 1) for name, step in steps.items()}

    assert figures["encode"]["flops"] > figures["click"]["flops"] > 1e8
    assert figures["encode"]["bytes"] > 1e6
