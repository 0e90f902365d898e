"""The network in the package: its layers, how it is asked, and how its answers are drawn."""

from __future__ import annotations
