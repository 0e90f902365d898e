"""The errors of napari-sam3, each a sentence a user can act on."""

from __future__ import annotations


class Sam3Error(Exception):
    """Something went wrong that the user can understand and mend."""


class FramesError(Sam3Error):
    """The image cannot be read as a stack of frames."""


class PromptError(Sam3Error, ValueError):
    """Prompts do not fit the frame, or mark no object."""


class WeightsError(Sam3Error):
    """A file of weights is missing, broken or not what it claims to be."""


class ModelError(Sam3Error):
    """The model cannot do this."""


class DeviceMemoryError(ModelError):
    """The memory of the device is too small for so much at once."""


class CancelledError(Sam3Error):
    """The user ended the work before there was a result."""


class StorageError(Sam3Error, OSError):
    """A result could not be written to disk."""


DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    AssertionError,
)
"""What libraries raise for files of weights that are damaged, or are something else."""
