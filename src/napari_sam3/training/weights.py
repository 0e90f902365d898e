"""Weights on disk: half-precision safetensors with the facts of their training."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from napari_sam3.engine.embedded.network import Network

FORMAT = "napari-sam3 embedded 2"
LICENCE = "BSD-3-Clause"
ORIGIN_REACH = 20.0
"""How far apart, in cells, things on the first frame and now may lie to be compared at first."""


def save_weights(network: Network, path: Path, facts: dict[str, str]) -> None:
    """Write the weights of `network` in half precision, the file appearing when complete."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    today = datetime.now(UTC).date().isoformat()
    unfinished = path.with_suffix(".unfinished")
    save_file(tensors, unfinished, {"format": FORMAT, "licence": LICENCE, "date": today, **facts})
    unfinished.chmod(0o644)
    unfinished.replace(path)


def load_weights(network: Network, path: Path) -> None:
    """Fill `network` with the weights at `path`."""
    tensors = load_file(path)
    full = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
    network.load_state_dict(full)


def blank_memory(network: Network) -> None:
    """Make a new network ignore its memories, which it then learns to use bit by bit."""
    torch.nn.init.zeros_(network.decoder.memory4.weight)
    inherit(network)


@torch.no_grad()
def inherit(network: Network) -> None:
    """Let the follower begin as the decoder, which knows no first frame yet."""
    known, follower = network.decoder.state_dict(), network.follower.state_dict()
    for name, tensor in follower.items():
        source = known.get(name.replace("origin.", "recall."))
        if source is None or source.shape != tensor.shape:
            tensor.zero_()
        if source is not None:
            tensor[tuple(map(slice, source.shape))] = source
    follower["origin.reach"].fill_(ORIGIN_REACH)
