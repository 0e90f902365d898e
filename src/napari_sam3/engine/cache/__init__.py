"""What a model has seen: on the device, in memory and on disk."""
