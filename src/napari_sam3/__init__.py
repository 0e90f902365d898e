"""napari-sam3: outline, track and measure cells in napari by clicking on them."""

__version__ = "0.1.0"
