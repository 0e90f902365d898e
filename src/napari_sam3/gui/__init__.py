"""Qt and magicgui: what the user sees of the controller."""

from __future__ import annotations
