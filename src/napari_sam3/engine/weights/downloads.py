"""Downloads from the Hugging Face hub: the one place where the network is used."""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import huggingface_hub
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    DryRunError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented

from ...storage import check_free_space
from ...values import ModelError, Sam3Error, StorageError
from .catalog import HUB, TRANSFORMERS_FILES, ModelFiles

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes there are."""
NETWORK_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
"""What the hub's HTTP library raises, whichever it is."""
FOLDER = "or get the folder in another way, for example from a colleague, and open it here."
SHA256 = re.compile(r"[0-9a-f]{64}")
"""Large files are named by this digest of their content."""
CHUNK = 2**24  # bytes read at a time to check a file


class StoppedError(Sam3Error):
    """The user has stopped a download; what has arrived is kept."""


def download(
    model_id: str,
    progress: Progress,
    is_cancelled: Callable[[], bool],
    files: ModelFiles = TRANSFORMERS_FILES,
) -> Path:
    """Download a model into the hub's own cache, and return its folder there.

    What has arrived before is not downloaded again. The user's login is the hub's own and is
    kept by it alone.

    Raises
    ------
    ModelError
        If the hub cannot be reached, refuses, or has no such model.
    StorageError
        If the disk is or gets full.
    StoppedError
        If it was cancelled.
    """
    with _explained(model_id):
        listed = huggingface_hub.snapshot_download(
            model_id, allow_patterns=files.patterns, dry_run=True
        )
        weights, files_to_fetch = _without_alternatives(files, listed)
        _check_complete(model_id, files, {file.filename for file in files_to_fetch})
        _fetch(model_id, files_to_fetch, weights, _Callbacks(progress, is_cancelled))
        return Path(
            huggingface_hub.snapshot_download(
                model_id, allow_patterns=files.patterns, local_files_only=True
            )
        )


def _without_alternatives(files: ModelFiles, listed: Sequence[Any]) -> tuple[str | None, list[Any]]:
    """Return the name of the preferred weights, and the listed files without other weights."""
    names = {file.filename for file in listed}
    weights = next((name for name in files.weights if name in names), None)
    alternatives = set(files.weights) - {weights}
    return weights, [file for file in listed if file.filename not in alternatives]


def _fetch(model_id: str, files: Sequence[Any], weights: str | None, callbacks: _Callbacks) -> None:
    missing = [file for file in files if file.will_download]
    total = sum(file.file_size or 0 for file in files)
    left = sum(file.file_size or 0 for file in missing)
    check_free_space(Path(constants.HF_HUB_CACHE), left, f"The download of {model_id}")
    transfer = _Transfer(total, total - left, callbacks)
    bar = _bar_of(transfer)
    for file in sorted(missing, key=lambda file: file.file_size or 0):
        if file.filename == weights:
            fetch_blob(model_id, file.filename, file.commit_hash, bar)
        huggingface_hub.hf_hub_download(
            model_id, file.filename, revision=file.commit_hash, tqdm_class=bar
        )


def _check_complete(model_id: str, files: ModelFiles, names: set[str]) -> None:
    if files.config not in names or names.isdisjoint(files.weights):
        raise ModelError(
            f"{model_id} has no {files.config} with a {files.weights[0]}, so it cannot be used "
            "here: choose another model."
        )


def fetch_blob(model_id: str, filename: str, revision: str, bar: type) -> None:
    """Fetch what has not arrived yet of a file, into the cache of `huggingface_hub`.

    Parameters
    ----------
    model_id, filename, revision : str
        Which file.
    bar : type
        What the hub takes for a progress bar.

    Raises
    ------
    ModelError
        If the file has arrived damaged.
    """
    url = hf_hub_url(model_id, filename, revision=revision)
    metadata = get_hf_file_metadata(url)
    if metadata.etag is None:
        return
    blob = _blob(model_id, metadata.etag)
    if blob.exists():
        return
    blob.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_blob(model_id, metadata.etag)
    _fetch_bytes(url, unfinished, metadata.size, bar)
    _check_digest(unfinished, metadata.etag)
    unfinished.replace(blob)


def unfinished_blob(model_id: str, etag: str) -> Path:
    """Return where the part of a file that has arrived is kept."""
    return _blob(model_id, f"{etag}.unfinished")


def _fetch_bytes(url: str, unfinished: Path, size: int | None, bar: Any) -> None:
    with unfinished.open("ab") as file:
        http_get(
            url,
            file,
            resume_size=file.tell(),
            headers=build_hf_headers(),
            expected_size=size,
            tqdm_class=bar,
        )


def _blob(model_id: str, etag: str) -> Path:
    folder = repo_folder_name(repo_id=model_id, repo_type="model")
    return Path(constants.HF_HUB_CACHE) / folder / "blobs" / etag


def _check_digest(file: Path, etag: str) -> None:
    if not SHA256.fullmatch(etag):
        return
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != etag:
        file.unlink()
        raise ModelError("The download has arrived damaged and was thrown away: download it again.")


@dataclass(frozen=True, slots=True)
class _Callbacks:
    """What is called with the progress of a download, and what may end it."""

    progress: Progress
    is_cancelled: Callable[[], bool]


class _Transfer:
    """All files of one download together."""

    def __init__(self, total: int, done: int, callbacks: _Callbacks) -> None:
        self._total = total
        self._done = done
        self._progress = callbacks.progress
        self._is_cancelled = callbacks.is_cancelled
        self.count(0)

    def count(self, arrived: int) -> None:
        """Report bytes that have arrived, unless the user wants no more of them."""
        self._done += arrived
        if self._is_cancelled():
            raise StoppedError("The download is stopped; it goes on from there when started again.")
        self._progress(min(self._done, self._total), self._total)


def _bar_of(transfer: _Transfer) -> type:
    """Return a class that the hub takes for a progress bar; its methods are those the hub calls."""

    class Bar:
        def __init__(self, *_: object, **settings: Any) -> None:
            self.update(settings.get("initial") or 0)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: float | None = 1) -> None:
            transfer.count(int(count or 0))

        def refresh(self, *_: object, **__: object) -> None:
            pass

        def set_postfix_str(self, *_: object, **__: object) -> None:
            pass

        def close(self) -> None:
            pass

    return Bar


@contextmanager
def _explained(model_id: str) -> Iterator[None]:
    """Turn errors of the hub and the network into sentences."""
    page = f"{HUB}/{model_id}"
    try:
        yield
    except GatedRepoError as error:
        raise ModelError(_gated(model_id, page)) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"The hub has no model {model_id}, or does not show it to you: open {page}, {FOLDER}"
        ) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, DryRunError) as error:
        raise ModelError(_unreachable(model_id)) from error
    except HfHubHTTPError as error:
        raise ModelError(
            f"The hub refused to send {model_id} ({error.response.status_code}): try again later, "
            f"{FOLDER}"
        ) from error
    except OSError as error:
        raise _interrupted(model_id, error) from error
    except NETWORK_ERROR as error:
        raise ModelError(_unreachable(model_id)) from error


def _gated(model_id: str, page: str) -> str:
    return (
        f"The makers of {model_id} approve every user. 1. Sign in at {HUB} and ask for access on "
        f"{page}. 2. When they have approved you, make a token on {HUB}/settings/tokens. 3. Type "
        '"hf auth login" in a terminal and paste it. 4. Download again. Or choose an open model '
        "such as SAM 2.1; " + FOLDER
    )


def _unreachable(model_id: str) -> str:
    if constants.HF_HUB_OFFLINE:
        return (
            f"{model_id} cannot be downloaded, because HF_HUB_OFFLINE is set: unset it and start "
            f"napari again, {FOLDER}"
        )
    return (
        f"The hub cannot be reached, so {model_id} was not downloaded: see whether this computer "
        f"is online and the network lets {HUB} pass, {FOLDER}"
    )


def _interrupted(model_id: str, error: OSError) -> Sam3Error:
    if isinstance(error, Sam3Error):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"The disk is full, so {model_id} is not complete: make room in "
            f"{constants.HF_HUB_CACHE} and download again; it goes on from there."
        )
    return ModelError(
        f"The download of {model_id} was interrupted ({error}): download again, it goes on from "
        f"there, {FOLDER}"
    )
