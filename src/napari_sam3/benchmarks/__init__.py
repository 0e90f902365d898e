"""Benchmarks of speed and memory, also beside other programs."""
