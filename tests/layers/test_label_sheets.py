import numpy as np
import pytest

from napari_sam3.engine import StorageError
from napari_sam3.layers.axes import Place
from napari_sam3.layers.label_store import LabelArray
from tests.layers.results import HERE, THERE, ResultBench, disk, fill_disk, seen


def test_joining_layers_keeps_all_masks_and_edits(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, disk(20, 30))
    bench.results.write(HERE, 2, disk(20, 35))
    bench.results.write(THERE, 2, disk(40, 60))
    bench.results.layer_of(2).paint((*HERE, 50, 70), 2)

    bench.results.change_layout("one layer")

    assert [layer.name for layer in bench.labels] == ["Image objects"]
    np.testing.assert_array_equal(bench.results.mask(HERE, 1), disk(20, 30))
    np.testing.assert_array_equal(bench.results.mask(THERE, 2), disk(40, 60))
    assert bench.results.mask(HERE, 2)[50, 70]
    assert bench.results.edited({1, 2}) == {(HERE, 2)}


def test_parting_a_layer_makes_one_for_every_object(shared: ResultBench) -> None:
    shared.results.write(HERE, 1, disk(20, 30))
    shared.results.write(HERE, 2, disk(40, 60))
    shared.labels[0].paint((*HERE, 5, 5), 1)
    before = shared.results.mask(HERE, 1)

    shared.results.change_layout("layer per object")

    assert [layer.name for layer in shared.labels] == ["cell 1", "cell 2"]
    np.testing.assert_array_equal(shared.results.mask(HERE, 1), before)
    assert shared.results.edited({1, 2}) == {(HERE, 1)}


def test_edits_of_objects_that_share_a_layer_are_looked_for_once(
    shared: ResultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[LabelArray] = []
    differing = LabelArray.places_that_differ

    def look(array: LabelArray) -> list[Place]:
        looked.append(array)
        return differing(array)

    monkeypatch.setattr(LabelArray, "places_that_differ", look)
    shared.results.write(HERE, 1, disk(20, 30))
    shared.results.write(HERE, 2, disk(40, 60))
    shared.labels[0].paint((*HERE, 5, 5), 1)

    edited = shared.results.edited(frozenset(range(1, 100)))

    assert edited == {(HERE, 1)}
    assert len(looked) == 1


def test_label_painted_on_the_layer_of_another_object_is_no_edit(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, disk(20, 30))
    bench.results.write(HERE, 2, disk(40, 60))

    bench.results.layer_of(1).paint((*HERE, 5, 5), 2)

    assert bench.results.edited({1, 2}) == set()
    assert bench.results.edited({1}) == set()


def test_layouts_can_be_changed_back_and_forth(bench: ResultBench) -> None:
    bench.results.write(HERE, 1, disk(20, 30))

    for layout in ("one layer", "layer per object", "one layer"):
        bench.results.change_layout(layout)

    assert len(bench.labels) == 1
    np.testing.assert_array_equal(bench.results.mask(HERE, 1), disk(20, 30))


def test_on_a_full_disk_the_layout_stays(
    bench: ResultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.results.write(HERE, 1, disk(20, 30))
    before = bench.labels
    fill_disk(monkeypatch)

    with pytest.raises(StorageError):
        bench.results.change_layout("one layer")

    assert bench.results.layout == "layer per object"
    assert bench.labels == before
    np.testing.assert_array_equal(bench.results.mask(HERE, 1), disk(20, 30))


def test_on_a_full_disk_no_layer_appears(
    bench: ResultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fill_disk(patch)
        with pytest.raises(StorageError, match="No room left on disk"):
            bench.results.write(HERE, 1, disk(20, 30))
    assert bench.labels == []

    bench.results.write(HERE, 1, disk(20, 30))

    assert len(bench.labels) == 1


def test_on_a_full_disk_what_was_done_stays(
    bench: ResultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.results.write(HERE, 1, disk(20, 30))
    fill_disk(monkeypatch)

    with pytest.raises(StorageError):
        bench.results.write(HERE, 1, disk(40, 60))

    np.testing.assert_array_equal(bench.results.mask(HERE, 1), disk(20, 30))
    np.testing.assert_array_equal(seen(bench.labels[0]), disk(20, 30) * 1)
    assert not bench.results.is_edited(HERE, 1)
