"""An embedding as plain arrays, to be kept away from the device that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """All that a model needs to have an embedding of its own back."""

    arrays: Mapping[str, NDArray[Any]]  # in the main memory, of any shape and type; not changed
    facts: Mapping[str, Any]  # numbers, texts and lists of them, as JSON has

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())
