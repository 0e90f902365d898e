"""Frames from folders of real images with labels."""
