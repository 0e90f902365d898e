"""Invented microscopy: scenes, how they look, and how they change from frame to frame."""
