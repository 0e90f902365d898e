"""What a download does when all goes well, and what it says when it does not; no network."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from napari_sam3.engine import ModelError, StorageError
from napari_sam3.engine.weights import downloads
from napari_sam3.engine.weights.catalog import OPEN_CLIP_FILES
from napari_sam3.engine.weights.downloads import NETWORK_ERROR, StoppedError, download

NAME = "facebook/sam2.1-hiera-tiny"
WEIGHTS = bytes(range(250)) * 40
CHUNK = 1000
SIZES = {"config.json": 100, "model.safetensors": len(WEIGHTS)}


class FakeHub:
    """Sends files in chunks, and counts them."""

    def __init__(self) -> None:
        self.sizes = dict(SIZES)
        self.weights = WEIGHTS
        self.resumed_from: list[int] = []  # the bytes from which on the weights were sent
        self.here: set[str] = set()
        self.sent: list[str] = []
        self.failure: Exception | None = None

    def snapshot_download(self, name: str, *, dry_run: bool = False, **_: Any) -> Any:
        if not dry_run:
            return "/cache/folder"
        return [
            SimpleNamespace(
                filename=file,
                file_size=size,
                commit_hash="abc",
                will_download=file not in self.here,
            )
            for file, size in self.sizes.items()
        ]

    def hf_hub_download(self, name: str, file: str, *, tqdm_class: type, **_: Any) -> str:
        self._fail()
        self.sent.append(file)
        if file != "model.safetensors":
            with tqdm_class(desc=file, total=self.sizes[file], initial=0, unit="B") as bar:
                bar.update(self.sizes[file])
        return f"/cache/folder/{file}"

    def http_get(
        self, url: str, temp_file: BinaryIO, *, resume_size: int, tqdm_class: type, **_: Any
    ) -> None:
        self._fail()
        self.resumed_from.append(resume_size)
        with tqdm_class(desc=url, total=len(WEIGHTS), initial=resume_size, unit="B") as bar:
            for start in range(resume_size, len(WEIGHTS), CHUNK):
                chunk = self.weights[start : start + CHUNK]
                bar.update(len(chunk))
                temp_file.write(chunk)

    def get_hf_file_metadata(self, url: str) -> Any:
        self._fail()
        return SimpleNamespace(etag=hashlib.sha256(WEIGHTS).hexdigest(), size=len(WEIGHTS))

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    fake = FakeHub()
    for name in ("snapshot_download", "hf_hub_download"):
        monkeypatch.setattr(downloads.huggingface_hub, name, getattr(fake, name))
    for name in ("http_get", "get_hf_file_metadata"):
        monkeypatch.setattr(downloads, name, getattr(fake, name))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return fake


@pytest.fixture
def reported() -> list[tuple[int, int]]:
    return []


def fetch(
    reported: list[tuple[int, int]], is_cancelled: Callable[[], bool] = lambda: False
) -> Path:
    return download(NAME, lambda done, total: reported.append((done, total)), is_cancelled)


def test_bytes_of_all_files_are_reported_together(
    hub: FakeHub, reported: list[tuple[int, int]]
) -> None:
    folder = fetch(reported)

    assert folder == Path("/cache/folder")
    assert reported[0] == (0, 10_100)
    assert reported[-1] == (10_100, 10_100)
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)


def test_stopped_download_goes_on_where_it_ended(
    hub: FakeHub, reported: list[tuple[int, int]], tmp_path: Path
) -> None:
    with pytest.raises(StoppedError):
        fetch(reported, lambda: bool(reported) and reported[-1][0] > 5000)
    reported.clear()

    fetch(reported)

    assert hub.resumed_from == [0, 5000]
    assert reported[3] == (5100, 10_100)
    assert reported[-1] == (10_100, 10_100)
    (blob,) = tmp_path.rglob("blobs/*")
    assert blob.read_bytes() == WEIGHTS


def test_damaged_download_is_thrown_away(
    hub: FakeHub, reported: list[tuple[int, int]], tmp_path: Path
) -> None:
    hub.weights = bytes(len(WEIGHTS))

    with pytest.raises(ModelError, match="has arrived damaged"):
        fetch(reported)

    assert list(tmp_path.rglob("blobs/*")) == []


def test_files_that_are_here_are_not_sent_again(
    hub: FakeHub, reported: list[tuple[int, int]]
) -> None:
    hub.here = {"config.json"}

    fetch(reported)

    assert reported[0] == (100, 10_100)
    assert reported[-1] == (10_100, 10_100)


def test_full_disk_is_refused_before_anything_is_sent(
    hub: FakeHub, reported: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))

    with pytest.raises(StorageError, match="make room there"):
        fetch(reported)

    assert not hub.resumed_from


def test_model_without_safetensors_is_refused(
    hub: FakeHub, reported: list[tuple[int, int]]
) -> None:
    del hub.sizes["model.safetensors"]

    with pytest.raises(ModelError, match=r"has no config\.json with a model\.safetensors"):
        fetch(reported)


@pytest.mark.parametrize(
    ("offered", "weights"),
    [
        (
            ("open_clip_pytorch_model.bin", "open_clip_model.safetensors"),
            "open_clip_model.safetensors",
        ),
        (("open_clip_pytorch_model.bin",), "open_clip_pytorch_model.bin"),
    ],
)
def test_text_model_is_sent_with_its_tokenizer_and_one_file_of_weights(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, offered: tuple[str, ...], weights: str
) -> None:
    beside = ["open_clip_config.json", "tokenizer.json"]
    hub.sizes = dict.fromkeys([*beside, *offered], 10)
    monkeypatch.setattr(downloads, "fetch_blob", lambda *_: None)

    download("some/clip", lambda *_: None, lambda: False, OPEN_CLIP_FILES)

    assert set(hub.sent) == {*beside, weights}


def test_text_model_in_another_layout_is_refused(hub: FakeHub) -> None:
    with pytest.raises(ModelError, match=r"has no open_clip_config\.json"):
        download("some/clip", lambda *_: None, lambda: False, OPEN_CLIP_FILES)


def http(kind: type[HfHubHTTPError], status: int) -> HfHubHTTPError:
    response: Any = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind("", response=response)


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        (http(GatedRepoError, 403), "approve every user.*hf auth login.*open it here"),
        (http(RepositoryNotFoundError, 404), "has no model .*open it here"),
        (http(HfHubHTTPError, 503), r"refused to send .* \(503\): try again later"),
        (LocalEntryNotFoundError(""), "cannot be reached.*is online.*open it here"),
        (NETWORK_ERROR("no route to host"), "cannot be reached.*is online.*open it here"),
        (ConnectionResetError("reset"), "was interrupted.*goes on from there"),
    ],
)
def test_failure_says_what_to_do(
    hub: FakeHub, reported: list[tuple[int, int]], failure: Exception, advice: str
) -> None:
    hub.failure = failure

    with pytest.raises(ModelError, match=advice):
        fetch(reported)


def test_disk_that_gets_full_is_named(hub: FakeHub, reported: list[tuple[int, int]]) -> None:
    hub.failure = OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"The disk is full.*goes on from there"):
        fetch(reported)


def test_offline_mode_is_named(
    hub: FakeHub, reported: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.failure = LocalEntryNotFoundError("")

    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set: unset it"):
        fetch(reported)
