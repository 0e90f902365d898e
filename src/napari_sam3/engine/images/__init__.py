"""What a model is shown: frames of a stack, windows of large ones, and their contrast."""

from __future__ import annotations
