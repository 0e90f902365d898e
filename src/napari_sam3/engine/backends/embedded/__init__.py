"""The embedded model: its network, prompt encoder, mask hypotheses, memory bank and detection."""

from __future__ import annotations
