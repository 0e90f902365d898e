"""Synthetic microscopy, and training and evaluation of the embedded network."""

from __future__ import annotations
