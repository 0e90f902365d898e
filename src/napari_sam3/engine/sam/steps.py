"""The layers of an image encoder as steps that are told to whoever waits."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import nn

from ..watch import advance


def tell_steps(layers: Iterable[nn.Module]) -> None:
    """Let each of these layers say, before it is called, how many of them are done."""
    steps = list(layers)
    for done, layer in enumerate(steps):
        layer.register_forward_pre_hook(partial(_tell, done, len(steps)))


def _tell(done: int, total: int, *_: object) -> None:
    advance(done, total)
