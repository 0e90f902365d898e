"""What a model is shown of a stack: its frames, windows and tiles of large frames, contrast."""

from __future__ import annotations
