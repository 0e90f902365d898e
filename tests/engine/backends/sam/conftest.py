from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_sam3.engine.backends.sam.concepts import TextEncoder
from napari_sam3.engine.backends.sam.sam3_model import Sam3, Sam3Embedding


@pytest.fixture(scope="session")
def sam3(tiny_sam3: Path) -> Sam3:
    return Sam3.load(tiny_sam3, precision="float32")


@pytest.fixture(scope="session")
def text_encoder(tiny_sam3: Path, sam3: Sam3) -> TextEncoder:
    return TextEncoder.load(tiny_sam3, sam3)


@pytest.fixture(scope="session")
def pixel_values(sam3: Sam3) -> torch.Tensor:
    """Return the square of some image, (1, 3, side, side)."""
    return torch.randn(1, 3, sam3.side, sam3.side, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def exact(sam3: Sam3, pixel_values: torch.Tensor) -> Sam3Embedding:
    """Encode an image of 150 x 200 pixels without rounding, to compare with other classes."""
    with torch.inference_mode():
        return Sam3Embedding(sam3.trunk(pixel_values).last_hidden_state, (150, 200))
