"""One large file from the hub, put into the hub's cache, that goes on where it was stopped.

The hub's own software begins such a file anew each time. Here what has arrived waits in the cache;
when it is complete it takes the place where that software looks for it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented

from ..errors import ModelError

SHA256 = re.compile(r"[0-9a-f]{64}")
"""Large files are named by this digest of what is in them."""
CHUNK = 2**24  # bytes read at a time to check a file


def fetch_blob(model_id: str, filename: str, revision: str, bar: type) -> None:
    """Fetch what has not arrived yet of a file; `huggingface_hub` finds it in its cache then.

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
    _fetch(url, unfinished, metadata.size, bar)
    _check(unfinished, metadata.etag)
    unfinished.replace(blob)


def unfinished_blob(model_id: str, etag: str) -> Path:
    """Return where that part of a file waits that has arrived."""
    return _blob(model_id, f"{etag}.unfinished")


def _fetch(url: str, unfinished: Path, size: int | None, bar: Any) -> None:
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


def _check(file: Path, etag: str) -> None:
    if not SHA256.fullmatch(etag):
        return
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != etag:
        file.unlink()
        raise ModelError("The download has arrived damaged and was thrown away: download it again.")
