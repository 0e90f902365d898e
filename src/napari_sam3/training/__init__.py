"""Synthetic microscopy and the training of the embedded network."""
