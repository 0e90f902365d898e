from __future__ import annotations

import itertools

import pytest

from napari_sam3.values.objects import ObjectList, color_of


@pytest.fixture
def objects() -> ObjectList:
    return ObjectList()


def test_the_first_object_becomes_the_current_one(objects: ObjectList) -> None:
    first = objects.add()
    objects.add()

    assert objects.current is first


def test_objects_are_numbered_from_one_and_named(objects: ObjectList) -> None:
    names = [objects.add().name, objects.add().name]

    assert names == ["cell 1", "cell 2"]


def test_an_id_is_never_used_again(objects: ObjectList) -> None:
    objects.add()
    last = objects.add()
    objects.remove(last.id)

    assert objects.add().id == last.id + 1


def test_neighbouring_objects_have_different_colors() -> None:
    colors = [color_of(object_id) for object_id in range(1, 30)]

    assert len(set(colors)) == len(colors)
    for one, other in itertools.pairwise(colors):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.4


def test_choosing_another_object_is_announced_once(objects: ObjectList) -> None:
    objects.add()
    second = objects.add()
    heard = []
    objects.current_changed.connect(heard.append)

    objects.current = second
    objects.current = second

    assert heard == [second]


def test_removing_the_current_object_makes_the_last_one_current(objects: ObjectList) -> None:
    first, second = objects.add(), objects.add()

    objects.remove(first.id)

    assert objects.current is second
    assert [one.id for one in objects] == [second.id]


def test_removing_the_only_object_leaves_none_current(objects: ObjectList) -> None:
    heard = []
    objects.removed.connect(heard.append)
    only = objects.add()

    objects.remove(only.id)

    assert objects.current is None
    assert len(objects) == 0
    assert heard == [only]


def test_objects_can_be_removed_while_they_are_counted_through(objects: ObjectList) -> None:
    for _ in range(3):
        objects.add()

    for one in objects:
        objects.remove(one.id)

    assert len(objects) == 0


def test_a_new_name_is_announced(objects: ObjectList) -> None:
    cell = objects.add()
    heard = []
    objects.changed.connect(heard.append)

    objects.rename(cell.id, "mother")

    assert heard == [cell]
    assert cell.name == "mother"


def test_results_are_kept_per_frame(objects: ObjectList) -> None:
    cell = objects.add()

    objects.record((0,), cell.id, 0.8, 100)
    objects.record((1,), cell.id, 0.6, 90)
    objects.record((1,), cell.id, 0.9, 95)

    assert {place: result.area for place, result in cell.results.items()} == {(0,): 100, (1,): 95}
    assert cell.score == pytest.approx(0.85)


def test_a_forgotten_result_is_gone(objects: ObjectList) -> None:
    cell = objects.add()
    objects.record((0,), cell.id, 0.8, 100)

    objects.forget((0,), cell.id)

    assert cell.results == {}
    assert cell.score is None


def test_forgetting_what_was_never_recorded_changes_nothing(objects: ObjectList) -> None:
    cell = objects.add()
    heard = []
    objects.changed.connect(heard.append)

    objects.forget((3,), cell.id)

    assert heard == []
