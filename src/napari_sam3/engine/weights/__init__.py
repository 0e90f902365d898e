"""Where models come from: the catalogue, checkpoints, downloads and conversions."""
