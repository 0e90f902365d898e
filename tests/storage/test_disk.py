from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from napari_sam3.engine import StorageError
from napari_sam3.storage import (
    CHOOSE_CACHE,
    UNREADABLE,
    check_free_space,
    new_folder,
    storing_in,
    write_whole,
    written_whole,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_folder(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "text").write_text(text)


@pytest.mark.parametrize("content", ["µm", "µm".encode()])
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "file.txt").write_text("much more than the new content")

    write_whole(tmp_path / "file.txt", content)

    assert (tmp_path / "file.txt").read_text(encoding="utf-8") == "µm"
    assert names(tmp_path) == ["file.txt"]


def test_a_draft_keeps_the_suffix_which_tells_its_format(tmp_path: Path) -> None:
    with written_whole(tmp_path / "labels.ome.tif") as draft:
        draft.touch()

    assert draft.name.endswith("labels.ome.tif")


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_folder(tmp_path / "labels", "before")
    (tmp_path / "labels" / "more").touch()

    with written_whole(tmp_path / "labels") as draft:
        write_folder(draft, "after")

    assert names(tmp_path / "labels") == ["text"]
    assert (tmp_path / "labels" / "text").read_text() == "after"
    assert names(tmp_path) == ["labels"]


def test_after_an_error_the_earlier_folder_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "labels", "before")

    with suppress(ValueError), written_whole(tmp_path / "labels") as draft:
        write_folder(draft, "after")
        raise ValueError

    assert (tmp_path / "labels" / "text").read_text() == "before"
    assert names(tmp_path) == ["labels"]


def test_an_earlier_folder_stays_where_the_new_folder_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "labels", "before")
    rename = Path.rename

    def refuse_draft(path: Path, target: Path) -> Path:
        if target == tmp_path / "labels" and (path / "text").read_text() == "after":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_draft)
    with pytest.raises(OSError, match="denied"), written_whole(tmp_path / "labels") as draft:
        write_folder(draft, "after")

    assert (tmp_path / "labels" / "text").read_text() == "before"
    assert names(tmp_path) == ["labels"]


def test_a_new_folder_never_replaces_another(tmp_path: Path) -> None:
    def write_both() -> None:
        with new_folder(tmp_path / "object-1") as draft:
            write_folder(draft, "second")
            write_folder(tmp_path / "object-1", "first")

    with pytest.raises(FileExistsError):
        write_both()

    assert (tmp_path / "object-1" / "text").read_text() == "first"
    assert names(tmp_path) == ["object-1"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "full"), "No room left on disk in .*: free some space, or start"),
        (OSError(errno.EACCES, "Denied"), r"cannot be read or written \(Denied\): start napari"),
        (KeyError("c"), "is damaged, or holds something else .*: start napari"),
    ],
)
def test_errors_of_the_disk_become_sentences(
    tmp_path: Path, error: Exception, sentence: str
) -> None:
    with (
        pytest.raises(StorageError, match=sentence),
        storing_in(tmp_path, CHOOSE_CACHE, UNREADABLE),
    ):
        raise error


def test_a_sentence_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"^Relabel\.$"), storing_in(tmp_path):
        raise StorageError("Relabel.")


def test_free_space_is_that_of_the_folder_which_is_there(tmp_path: Path) -> None:
    check_free_space(tmp_path / "not" / "yet", 1, "A test")

    with pytest.raises(StorageError, match=r"A test needs .* GB on the disk of .*: make room"):
        check_free_space(tmp_path / "not" / "yet", 2**62, "A test")
