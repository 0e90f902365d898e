"""Where models come from: the catalogue, checkpoints, downloads and conversions."""

from __future__ import annotations
