"""Exemplars kept by name, to be used again on other images and in other sessions."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from ..storage import storing_in, write_whole
from ..values import Exemplar, PromptError, StorageError

VERSION = "1"
"""Of the layout of a file."""
SUFFIX = ".safetensors"

Tensors = dict[str, NDArray[Any]]
Facts = dict[str, Any]


class ExemplarLibrary:
    """A folder with one file for every name.

    A file holds all exemplars of a name, positive and negative, with their thumbnails. It is
    written whole, and then it replaces the earlier file.

    Parameters
    ----------
    folder : Path, optional
        By default a folder of the user's own where the system keeps the data of programs.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(platformdirs.user_data_dir("napari-sam3")) / "exemplars"

    def names(self) -> list[str]:
        """Return all names, sorted; a file that cannot be read goes by the name of the file."""
        with self._storing():
            files = sorted(self.folder.glob(f"[!.]*{SUFFIX}")) if self.folder.exists() else []
        return sorted((_name_in(path) for path in files), key=str.casefold)

    def save(self, name: str, exemplars: Sequence[Exemplar]) -> None:
        """Keep exemplars under a name; earlier ones of this name are replaced.

        Raises
        ------
        PromptError
            If there is no name, or nothing to be kept.
        StorageError
            If the folder cannot be written.
        """
        if not name.strip() or not exemplars:
            raise PromptError("Give the exemplars a name, and draw at least one.")
        tensors, facts = _packed(exemplars)
        metadata = {"version": VERSION, "name": name.strip(), "exemplars": json.dumps(facts)}
        path = self.folder / f"{file_name(name)}{SUFFIX}"
        with self._storing():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, save(tensors, metadata))

    def load(self, name: str) -> list[Exemplar]:
        """Return the exemplars of a name.

        Raises
        ------
        StorageError
            If there are none, or their file is damaged.
        """
        path = self._path(name)
        with self._storing():
            content = path.read_bytes()
        try:
            return _unpacked(load(content), _metadata(path))
        except (SafetensorError, ValueError, KeyError, TypeError, struct.error) as error:
            raise StorageError(
                f"The exemplars {name!r} in {path} are damaged ({error}): remove them, and draw "
                "them again."
            ) from error

    def remove(self, name: str) -> None:
        """Remove the exemplars of a name."""
        path = self._path(name)
        with self._storing():
            path.unlink()

    def _path(self, name: str) -> Path:
        for stem in (file_name(name), name):
            path = self.folder / f"{stem}{SUFFIX}"
            if path.parent == self.folder and path.exists():
                return path
        raise StorageError(
            f"There are no exemplars named {name!r} in {self.folder}: draw some and save them."
        )

    def _storing(self) -> AbstractContextManager[None]:
        return storing_in(self.folder, "free some space, or see to it that you may write there.")


def file_name(name: str) -> str:
    """Return the name of a file for any name: what is plain in it, and a digest of all of it."""
    whole = unicodedata.normalize("NFC", name.strip())
    plain = re.sub(r"[^a-z0-9]+", "-", unicodedata.normalize("NFKD", whole).lower()).strip("-")
    digest = hashlib.sha256(whole.encode()).hexdigest()[:12]
    return "-".join(part for part in (plain[:40], digest) if part)


def _name_in(path: Path) -> str:
    try:
        return str(_metadata(path)["name"])
    except (SafetensorError, OSError, KeyError):
        return path.stem


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "numpy") as file:
        return dict(file.metadata() or {})


def _packed(exemplars: Sequence[Exemplar]) -> tuple[Tensors, list[Facts]]:
    tensors: Tensors = {}
    for number, exemplar in enumerate(exemplars):
        tensors[f"{number}/picture"] = np.ascontiguousarray(exemplar.thumbnail)
        for part, array in exemplar.appearance.items():
            tensors[f"{number}/appearance/{part}"] = np.ascontiguousarray(array)
    facts = [
        {
            "model": exemplar.model,
            "revision": exemplar.revision,
            "box": [float(side) for side in exemplar.box],
            "is_positive": exemplar.is_positive,
            "appearance": list(exemplar.appearance),
        }
        for exemplar in exemplars
    ]
    return tensors, facts


def _unpacked(tensors: Tensors, metadata: dict[str, str]) -> list[Exemplar]:
    if metadata["version"] != VERSION:
        raise ValueError(f"they have the layout {metadata['version']} of another napari-sam3")
    return [
        Exemplar(
            {part: tensors[f"{number}/appearance/{part}"] for part in facts["appearance"]},
            facts["model"],
            facts["revision"],
            tensors[f"{number}/picture"],
            tuple(facts["box"]),
            facts["is_positive"],
        )
        for number, facts in enumerate(json.loads(metadata["exemplars"]))
    ]
