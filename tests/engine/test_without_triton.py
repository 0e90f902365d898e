"""The plugin never lets triton into a process without CUDA (it crashes after an OpenGL canvas)."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

ASK = """
import {module}
try:
    import triton
except ImportError:
    print("kept out")
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="triton has a use here")
@pytest.mark.parametrize(
    "module",
    [
        "napari_sam3.engine.backends.embedded.model",
        "napari_sam3.engine.backends.sam.sam1",
        "napari_sam3.engine.backends.sam.sam2",
        "napari_sam3.engine.backends.sam.sam3",
        "napari_sam3.training.trainer",
    ],
)
def test_triton_cannot_be_imported_once_the_network_is(module: str) -> None:
    asked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert asked.stdout.strip() == "kept out"
