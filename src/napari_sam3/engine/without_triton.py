"""Keeps triton out of a process that has no use for it.

Some parts of torch import triton as soon as they are used. On a machine with software OpenGL the
process crashes if that happens after napari has drawn its first canvas; without CUDA triton does
nothing. Whoever imports torch here imports this file too.
"""

from __future__ import annotations

import sys

import torch

if not torch.cuda.is_available():
    sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # an import of it now fails
