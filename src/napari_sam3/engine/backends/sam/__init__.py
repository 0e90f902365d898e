"""What the models of the SAM family have in common."""

from ... import without_triton  # noqa: F401  before torch or transformers are imported
