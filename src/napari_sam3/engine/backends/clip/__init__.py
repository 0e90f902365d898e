"""Text for models that read none: phrases, and a model that compares them with images."""

from __future__ import annotations
