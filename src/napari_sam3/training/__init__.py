"""Synthetic microscopy and the training of the embedded network."""

from __future__ import annotations
