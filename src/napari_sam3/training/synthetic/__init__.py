"""Synthetic microscopy: scenes, their appearance, and their changes from frame to frame."""
