from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from napari_sam3.engine import CancelledError, Engine, Prompts, Session
from napari_sam3.engine.loading import load_backend
from tests.tiny_models import visits

CLICK = Prompts([(40, 50)])
IMAGE = np.random.default_rng(0).integers(0, 255, (96, 120), np.uint8)
LAYERS = {
    "tiny_sam1": lambda model: model.vision_encoder.layers,
    "tiny_sam2": lambda model: model.vision_encoder.backbone.blocks,
    "tiny_sam3": lambda model: model.trunk.layers,
    "tiny_edgetam": lambda model: list(model.vision_encoder.backbone.timm_model.children()),
}


@pytest.fixture(scope="module", params=LAYERS)
def loaded(request: pytest.FixtureRequest) -> tuple[Engine, list[nn.Module]]:
    """Return an engine of each family, and the layers of its image encoder."""
    folder: Path = request.getfixturevalue(request.param)
    backend: Any = load_backend(folder, "cpu")
    return Engine(backend), list(LAYERS[request.param](backend._model))


def after(layer: nn.Module, call: Any) -> Any:
    return layer.register_forward_hook(lambda *_: call())


def test_each_layer_tells_how_many_are_done(loaded: tuple[Engine, list[nn.Module]]) -> None:
    engine, layers = loaded
    session = engine.open(IMAGE)
    told: list[tuple[int, int]] = []
    hooks = [after(layer, lambda: told.append(steps(session))) for layer in layers]

    session.segment(0, CLICK)

    for hook in hooks:
        hook.remove()
    assert told == [(done, len(layers)) for done in range(len(layers))]


def test_cancel_ends_before_the_next_layer(loaded: tuple[Engine, list[nn.Module]]) -> None:
    engine, layers = loaded
    session = engine.open(IMAGE)
    hook = after(layers[0], session.stop_looking)

    with visits(layers[1]) as reached, pytest.raises(CancelledError):
        session.segment(0, CLICK)

    hook.remove()
    assert reached == []


def test_same_click_is_answered_after_a_cancel(loaded: tuple[Engine, list[nn.Module]]) -> None:
    engine, layers = loaded
    session = engine.open(IMAGE)
    hook = after(layers[0], session.stop_looking)
    with pytest.raises(CancelledError):
        session.segment(0, CLICK)
    hook.remove()

    with visits(layers[-1]) as encoded:
        session.segment(0, CLICK)
        session.segment(0, Prompts([(40, 50), (10, 10)], [True, False]))

    assert len(encoded) == 1


def steps(session: Session) -> tuple[int, int]:
    looking = session.looking
    assert looking is not None
    return looking.done, looking.total
