"""Objects that are chosen, removed, renamed and counted."""

from __future__ import annotations

from tests.controller.bench import Bench
from tests.controller.conftest import Disk


def test_selected_object_brings_its_prompts_back(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.controller.select_object(1)
    bench.click(0, 20, 30)

    assert bench.workspace.prompts.points.shown.tolist() == [True, False, True]
    assert bench.asked[-1].points.tolist() == [[20, 20], [20, 30]]


def test_selected_object_is_gone_to(bench: Bench) -> None:
    bench.click_disk(7)
    bench.next_object()
    bench.click_disk(2)

    bench.controller.select_object(1)

    assert bench.viewer.dims.current_step[0] == 7


def test_selected_object_in_sight_is_looked_at_where_one_is(bench: Bench) -> None:
    bench.click_disk(2)
    bench.run()
    bench.go_to(6)

    bench.controller.select_object(1)

    assert bench.viewer.dims.current_step[0] == 6


def test_removed_object_leaves_nothing_behind(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.controller.remove_object(1)

    assert [obj.id for obj in bench.workspace.objects] == [2]
    assert [layer.name for layer in bench.labels] == ["cell 2"]
    assert bench.workspace.prompts.snapshot.objects.tolist() == [2]
    assert bench.mask(0, object_id=2)[40, 40]


def test_a_full_disk_is_told_when_an_object_is_removed(bench: Bench, disk: Disk) -> None:
    bench.controller.choose_layout("one layer")
    bench.click_disk(0)
    disk.is_full = True

    bench.controller.remove_object(1)

    assert any("No room left" in message for message in bench.messages)


def test_last_object_that_is_removed_makes_room_for_a_new_one(bench: Bench) -> None:
    bench.click(0, 20, 20)

    bench.controller.remove_object(1)
    bench.click(0, 40, 40)

    assert [obj.id for obj in bench.workspace.objects] == [2]
    assert bench.mask(0, object_id=2)[40, 40]


def test_removed_object_gives_its_pixels_back_in_one_layer(bench: Bench) -> None:
    bench.controller.choose_layout("one layer")
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 40, 40)

    bench.controller.remove_object(1)

    assert not bench.mask(0, object_id=1).any()
    assert bench.mask(0, object_id=2)[40, 40]


def test_removing_an_object_leaves_what_the_model_knows_of_others(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.next_object()
    bench.click(0, 20, 20)
    bench.controller.remove_object(1)
    asked = len(bench.asked)

    bench.click(0, 20, 30)

    assert bench.backend.refined[asked] is not None
    assert list(bench.asked[asked].points[0]) == [20, 20]


def test_renamed_object_renames_its_layer(bench: Bench) -> None:
    bench.click(0, 20, 20)

    bench.controller.rename_object(1, "mother")

    assert [layer.name for layer in bench.labels] == ["mother"]
    assert bench.workspace.objects[1].name == "mother"


def test_renamed_layer_renames_its_object(bench: Bench) -> None:
    bench.click_disk(0)

    bench.labels[0].name = "mother"
    bench.next_object()
    bench.click(0, 50, 50)
    bench.labels[1].name = "daughter"

    assert [obj.name for obj in bench.workspace.objects] == ["mother", "daughter"]


def test_name_of_a_layer_of_all_objects_is_no_object_s(bench: Bench) -> None:
    bench.controller.choose_layout("one layer")
    bench.click_disk(0)

    bench.labels[0].name = "nuclei"

    assert [obj.name for obj in bench.workspace.objects] == ["cell 1"]


def test_layer_that_the_user_renamed_is_still_found(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.labels[0].name = "something else"

    bench.click(0, 20, 30)

    assert len(bench.labels) == 1
    assert bench.mask(0)[20, 30]


def test_mouse_over_an_object_shows_its_score_and_area(bench: Bench) -> None:
    bench.click(0, 20, 20)

    (row,) = bench.labels[0].features.to_dict("records")
    assert row == {"index": 1, "name": "cell 1", "score": 0.9, "area": 113}


def test_frames_done_are_counted(bench: Bench) -> None:
    bench.click_disk(0)
    bench.click_disk(4)

    assert bench.controller.progress_of(bench.workspace.objects[1]) == "2 of 10"
