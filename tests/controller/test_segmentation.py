"""From prompts to masks, with questions that wait."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam3.engine import Mask, ModelError
from tests.backends import disk_frames, ellipse
from tests.controller.bench import PATH, Bench
from tests.controller.conftest import Disk
from tests.masks import mask_of


def test_only_the_newest_click_on_an_object_reaches_the_model(held: Bench) -> None:
    for col in (20, 24, 28):
        held.click(0, 30, col)

    held.jobs.run_all()

    assert [one.points.tolist() for one in held.asked] == [[[30, 20], [30, 24], [30, 28]]]
    assert held.mask(0)[30, 28]


def test_clicks_on_other_frames_wait_beside_each_other(held: Bench) -> None:
    held.click_disk(0)
    held.click_disk(1)

    held.jobs.run_all()

    assert held.frames_with() == [0, 1]


def test_clicks_on_other_objects_wait_beside_each_other(held: Bench) -> None:
    held.click(0, 20, 20)
    held.next_object()
    held.click(0, 40, 40)

    held.jobs.run_all()

    assert held.mask(0, object_id=1)[20, 20]
    assert held.mask(0, object_id=2)[40, 40]


def test_clicks_on_other_images_wait_beside_each_other(held: Bench) -> None:
    first = held.image
    held.click(0, 20, 20)
    held.controller.focus.choose_image(held.add_image(disk_frames(PATH), name="another"))
    held.click(0, 40, 40)

    held.jobs.run_all()

    assert held.mask(0)[40, 40]
    held.controller.focus.choose_image(first)
    assert held.mask(0)[20, 20]


def test_click_that_was_undone_never_reaches_the_model(held: Bench) -> None:
    held.click(0, 20, 20)

    held.controller.undo()
    held.jobs.run_all()

    assert held.asked == []


def test_click_whose_marks_are_gone_never_reaches_the_model(held: Bench) -> None:
    held.click(0, 20, 20)
    held.click(0, 20, 30, is_positive=False)

    held.workspace.prompts.points.remove([0])
    held.jobs.run_all()

    assert held.asked == []


def test_answer_about_an_object_that_was_removed_is_dropped(held: Bench) -> None:
    held.click(0, 20, 20)
    (task,) = held.jobs.waiting.values()
    held.controller.remove_object(1)

    task.done(_mask())

    assert held.labels == []
    assert [obj.id for obj in held.workspace.objects] == [2]


def test_answer_is_about_the_frame_that_was_clicked(held: Bench) -> None:
    held.click_disk(2)
    held.go_to(7)

    held.jobs.run_all()

    assert held.frames_with() == [2]


def test_first_reading_is_the_best_one(bench: Bench) -> None:
    bench.click(0, 30, 30)

    shown = bench.controller.hypothesis
    assert shown is not None
    assert (shown.position, shown.count, shown.hypothesis.name) == (0, 3, "whole")
    assert shown.hypothesis.score == 0.9


def test_readings_are_cycled_through(bench: Bench) -> None:
    bench.click(0, 30, 30)
    areas = [bench.mask(0).sum()]
    for _ in range(3):
        bench.controller.show_next_hypothesis()
        areas.append(bench.mask(0).sum())

    assert areas[0] > areas[1] > areas[2]
    assert areas[3] == areas[0]


def test_reading_that_is_shown_is_recorded(bench: Bench) -> None:
    bench.click(0, 30, 30)

    bench.controller.show_next_hypothesis()

    result = bench.workspace.objects[1].results[(0,)]
    assert (result.score, result.area) == (0.8, bench.mask(0).sum())


def test_later_clicks_start_from_the_chosen_reading(bench: Bench) -> None:
    bench.click(0, 30, 30)
    bench.controller.show_next_hypothesis()

    bench.click(0, 30, 40)

    started_from = bench.backend.refined[-1]
    assert started_from is not None
    assert started_from.hypotheses[0].name == "part"


def test_propagation_starts_from_the_chosen_reading(bench: Bench) -> None:
    bench.click_disk(0)
    bench.controller.show_next_hypothesis()
    part = bench.mask(0)

    bench.run()

    np.testing.assert_array_equal(bench.mask(0), part)


def test_chosen_reading_is_back_when_a_correction_is_undone(bench: Bench) -> None:
    bench.click_disk(0)
    bench.controller.show_next_hypothesis()
    chosen = bench.mask(0)
    bench.click(0, 30, 40)

    bench.controller.undo()

    np.testing.assert_array_equal(bench.mask(0), chosen)
    assert bench.controller.hypothesis.position == 1


def test_next_reading_of_nothing_does_nothing(bench: Bench) -> None:
    bench.controller.show_next_hypothesis()
    bench.click_disk(0)
    bench.go_to(5)

    bench.controller.show_next_hypothesis()

    assert bench.controller.hypothesis is None
    assert bench.messages == []


def test_readings_of_an_earlier_object_are_asked_for_again(bench: Bench) -> None:
    for number in range(10):
        bench.next_object()
        bench.click(0, 30, 5 + 5 * number)
    bench.controller.select_object(1)

    bench.controller.show_next_hypothesis()

    assert bench.controller.hypothesis is not None
    assert len(bench.asked) == 10


def test_model_that_fails_says_so_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ModelError("The model is out of memory: close another image.")

    monkeypatch.setattr(bench.backend, "segment", fail)

    bench.click_disk(0)

    assert bench.messages == ["The model is out of memory: close another image."]


def test_no_room_on_disk_is_said_once_and_the_prompts_stay(bench: Bench, disk: Disk) -> None:
    disk.is_full = True

    bench.click(0, 20, 20)

    assert len(bench.messages) == 1
    assert "No room left on disk" in bench.messages[0]
    assert bench.labels == []
    assert len(bench.workspace.prompts.points.data) == 1


def test_click_works_again_once_there_is_room(bench: Bench, disk: Disk) -> None:
    disk.is_full = True
    bench.click(0, 20, 20)
    disk.is_full = False

    bench.click(0, 20, 22)

    assert bench.mask(0)[20, 20]


def test_mask_stays_when_its_correction_cannot_be_stored(bench: Bench, disk: Disk) -> None:
    bench.click(0, 20, 20)
    disk.is_full = True

    bench.click(0, 40, 40)

    np.testing.assert_array_equal(bench.mask(0), ellipse((64, 64), (20, 20), (6, 6)))
    assert bench.workspace.objects[1].results[(0,)].area == bench.mask(0).sum()


def test_painted_pixels_survive_the_next_click(bench: Bench) -> None:
    bench.click(0, 20, 20)
    bench.paint((0,), 50, 50)

    bench.click(0, 20, 24)

    assert bench.mask(0)[50, 50]


def test_erased_pixels_stay_erased_at_the_next_click(bench: Bench) -> None:
    bench.click(0, 20, 20)
    layer = bench.labels[0]
    layer.brush_size = 3
    layer.paint((0, 20, 20), 0)

    bench.click(0, 20, 24)

    assert not bench.mask(0)[20, 20]
    assert bench.mask(0)[20, 26]


def test_negative_click_cuts_out_of_what_was_followed(bench: Bench) -> None:
    bench.click_disk(0)
    bench.run()
    followed = bench.mask(4)

    bench.click(4, 30, 30, is_positive=False)

    assert bench.messages == []
    assert not bench.mask(4)[30, 30]
    np.testing.assert_array_equal(bench.asked[-1].mask, followed)
    assert bench.mask(4).any()


def test_positive_click_on_what_was_followed_corrects_it(bench: Bench) -> None:
    bench.click_disk(0)
    bench.run()
    followed = bench.mask(4)

    bench.click(4, 30, 27)
    bench.click(4, 30, 25)

    for asked in bench.asked[-2:]:
        np.testing.assert_array_equal(asked.mask, followed)
    assert bench.backend.refined[-1] is not None


def test_positive_click_elsewhere_begins_anew(bench: Bench) -> None:
    bench.click_disk(0)
    bench.run()

    bench.click(4, 55, 55)

    assert bench.asked[-1].mask is None
    np.testing.assert_array_equal(bench.mask(4), ellipse((64, 64), (55, 55), (6, 6)))


def test_box_on_what_was_followed_begins_anew(bench: Bench) -> None:
    bench.click_disk(0)
    bench.run()
    bench.go_to(4)

    corners = [(4, 10, 10), (4, 10, 40), (4, 30, 40), (4, 30, 10)]
    bench.workspace.prompts.shapes.add(np.array(corners), shape_type="rectangle")

    assert bench.asked[-1].mask is None
    assert len(bench.asked[-1].boxes) == 1


def test_undone_correction_brings_back_what_was_followed(bench: Bench) -> None:
    bench.click_disk(0)
    bench.run()
    followed, score = bench.mask(4), bench.workspace.objects[1].results[(4,)].score

    bench.click(4, 30, 30, is_positive=False)
    bench.controller.undo()

    np.testing.assert_array_equal(bench.mask(4), followed)
    assert bench.workspace.objects[1].results[(4,)].score == score


def test_redone_correction_corrects_again(bench: Bench) -> None:
    bench.click_disk(0)
    bench.run()
    bench.click(4, 30, 30, is_positive=False)
    corrected = bench.mask(4)

    bench.controller.undo()
    bench.controller.redo()

    np.testing.assert_array_equal(bench.mask(4), corrected)


def test_corrected_frame_is_where_the_next_run_starts(bench: Bench) -> None:
    bench.click_disk(0)
    bench.run()
    bench.click(4, 30, 30, is_positive=False)
    corrected = bench.mask(4)

    bench.run()

    np.testing.assert_array_equal(bench.mask(4), corrected)
    assert bench.messages == []


def _mask() -> Mask:
    return mask_of(np.ones((64, 64), bool), 0.9)
