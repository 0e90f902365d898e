"""Embeddings on the device, in memory and on disk, each tier bounded in bytes."""

from __future__ import annotations
