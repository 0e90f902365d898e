"""What a model has seen: on the device, in memory and on disk."""

from __future__ import annotations
