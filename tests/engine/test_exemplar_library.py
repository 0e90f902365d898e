from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_sam3.engine import Exemplar, ExemplarLibrary, PromptError, StorageError
from napari_sam3.engine.exemplar_library import file_name


def exemplar(value: float = 1, is_positive: bool = True) -> Exemplar:
    appearance = {"features": np.full(3, value, np.float32), "size": np.zeros((1, 2), np.float32)}
    thumbnail = np.full((7, 9, 3), 50, np.uint8)
    return Exemplar(appearance, "embedded", "abc-float32", thumbnail, (1, 2, 5.5, 6), is_positive)


@pytest.fixture
def library(tmp_path: Path) -> ExemplarLibrary:
    return ExemplarLibrary(tmp_path / "library")


def test_exemplars_come_back_with_their_negatives_and_thumbnails(library):
    library.save("my nuclei", [exemplar(1), exemplar(2, is_positive=False)])

    positive, negative = ExemplarLibrary(library.folder).load("my nuclei")

    assert (positive.is_positive, negative.is_positive) == (True, False)
    assert (positive.model, positive.revision, positive.box) == (
        "embedded",
        "abc-float32",
        (1, 2, 5.5, 6),
    )
    assert positive.thumbnail.shape == (7, 9, 3)
    assert negative.appearance["features"].tolist() == [2, 2, 2]
    assert negative.appearance["size"].shape == (1, 2)


def test_a_library_that_is_not_there_yet_is_empty(library):
    assert library.names() == []


@pytest.mark.parametrize("name", ["ядро", "細胞核", "a/../b", "CON", "x" * 300, ".", "β-cell 🦠"])
def test_any_name_can_be_given(library, name):
    library.save(name, [exemplar()])

    assert library.names() == [name]
    assert len(library.load(name)) == 1
    assert [path.parent for path in library.folder.rglob("*")] == [library.folder]


def test_similar_names_are_different():
    names = ["cell", "Cell", "cell ", "cell?", "cell!", "κύτταρο", "cella"]

    assert len({file_name(name).casefold() for name in names}) == len(names) - 1  # of white space


def test_names_are_sorted_as_people_do(library):
    for name in ("yeast", "Nucleus", "bacterium"):
        library.save(name, [exemplar()])

    assert library.names() == ["bacterium", "Nucleus", "yeast"]


def test_a_name_is_used_again(library):
    library.save("cell", [exemplar(1)])

    library.save("cell", [exemplar(2), exemplar(3)])

    assert [exemplar.appearance["features"][0] for exemplar in library.load("cell")] == [2, 3]
    assert library.names() == ["cell"]


def test_a_removed_name_is_gone(library):
    library.save("cell", [exemplar()])

    library.remove("cell")

    assert library.names() == []
    with pytest.raises(StorageError, match="no exemplars named 'cell'"):
        library.load("cell")


@pytest.mark.parametrize("kept", [0, 4, 40, -10])
def test_a_damaged_file_is_told_and_can_be_removed(library, kept):
    library.save("cell", [exemplar()])
    library.save("nucleus", [exemplar()])
    path = library.folder / f"{file_name('cell')}.safetensors"
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(StorageError, match=r"'cell' in .* damaged .*: remove them, and draw them"):
        library.load("cell")
    damaged, whole = library.names()
    library.remove(damaged)

    assert whole == "nucleus"
    assert library.names() == ["nucleus"]


def test_a_file_of_something_else_is_told(library):
    library.save("cell", [exemplar()])
    path = library.folder / f"{file_name('cell')}.safetensors"
    path.write_bytes(path.read_bytes().replace(b'\\"revision\\"', b'\\"revisiom\\"'))

    with pytest.raises(StorageError, match="damaged"):
        library.load("cell")


@pytest.mark.parametrize(("name", "exemplars"), [("  ", [exemplar()]), ("cell", [])])
def test_nothing_is_kept_without_a_name_or_an_exemplar(library, name, exemplars):
    with pytest.raises(PromptError, match="Give the exemplars a name"):
        library.save(name, exemplars)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StorageError, match="cannot be read or written"):
        ExemplarLibrary(tmp_path / "file" / "library").save("cell", [exemplar()])


def test_no_part_of_a_file_is_left_behind(library, monkeypatch):
    library.save("cell", [exemplar(1)])
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))

    with pytest.raises(StorageError, match="full"):
        library.save("cell", [exemplar(2)])

    assert library.load("cell")[0].appearance["features"][0] == 1
    assert library.names() == ["cell"]
