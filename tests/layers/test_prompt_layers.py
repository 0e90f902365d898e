from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_sam3.engine import PromptError
from napari_sam3.layers.prompt_layers import PromptLayers
from tests.layers import mouse
from tests.layers.prompting import PromptBench


def test_a_click_of_napari_is_a_prompt_of_the_current_object(deep: PromptBench) -> None:
    deep.prompts.current_object = 7
    deep.prompts.points.mode = "add"

    mouse.click(deep.prompts.points, (1, 2, 40, 50))

    assert deep.heard == [[((1, 2), 7)]]
    prompts = deep.prompts.snapshot.prompts()[(1, 2), 7]
    np.testing.assert_allclose(prompts.points, [(40, 50)])
    assert prompts.positive.all()


def test_the_sign_governs_the_clicks_of_napari(flat: PromptBench) -> None:
    flat.prompts.points.mode = "add"
    flat.prompts.is_positive = False

    mouse.click(flat.prompts.points, (40, 50))

    assert flat.prompts.snapshot.prompts()[(), 1].positive.tolist() == [False]


def test_selecting_a_point_changes_neither_sign_nor_object_of_the_next(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), False)
    flat.prompts.current_object = 2
    flat.prompts.add_point((20, 20), False)
    flat.prompts.points.selected_data = {1}

    flat.prompts.points.add((30, 30))

    assert flat.prompts.snapshot.prompts()[(), 2].positive.tolist() == [False, True]


def test_an_added_point_leaves_the_sign_of_the_next_as_it_was(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), False)

    assert flat.prompts.is_positive
    assert flat.prompts.points.feature_defaults["positive"][0]


def test_positive_and_negative_points_look_different(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    flat.prompts.add_point((20, 20), False)

    points = flat.prompts.points
    assert [str(symbol) for symbol in points.symbol] == ["disc", "x"]
    assert not np.allclose(points.face_color[0], points.face_color[1])


def test_points_of_other_objects_and_frames_are_kept_apart(deep: PromptBench) -> None:
    deep.prompts.add_point((1, 2, 10, 10), True)
    deep.prompts.add_point((1, 3, 11, 11), True)
    deep.prompts.current_object = 2
    deep.prompts.add_point((1, 2, 12, 12), True)

    prompts = deep.prompts.snapshot.prompts()

    assert {key: value.points.tolist() for key, value in prompts.items()} == {
        ((1, 2), 1): [[10, 10]],
        ((1, 3), 1): [[11, 11]],
        ((1, 2), 2): [[12, 12]],
    }


def test_only_the_prompts_that_are_asked_for_are_read(deep: PromptBench) -> None:
    deep.prompts.add_point((1, 2, 10, 10), True)
    deep.prompts.add_point((1, 3, 11, 11), True)

    assert list(deep.prompts.snapshot.prompts([((1, 3), 1), ((9, 9), 9)])) == [((1, 3), 1)]


@pytest.mark.parametrize("bench", ["flat", "deep"])
def test_points_of_other_objects_are_neither_seen_nor_found(
    bench: str, request: pytest.FixtureRequest
) -> None:
    bench = request.getfixturevalue(bench)
    frame_index = (1, 2)[: bench.prompts.image.ndim - 2]
    bench.prompts.add_point((*frame_index, 10, 10), True)

    bench.prompts.current_object = 2

    points = bench.prompts.points
    assert not points.face_color[:, 3].any()
    assert not points.border_color[:, 3].any()
    assert points.get_value((*frame_index, 10.1, 10.1)) is None


def test_points_come_back_with_their_object(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    flat.prompts.current_object = 2

    flat.prompts.current_object = 1

    assert flat.prompts.points.shown.all()
    assert flat.prompts.points.get_value((10, 10)) == 0


def test_a_dragged_point_is_announced_once_when_it_is_let_go(deep: PromptBench) -> None:
    deep.prompts.add_point((1, 2, 10, 10), True)
    deep.heard.clear()
    deep.prompts.points.mode = "select"

    for _ in mouse.dragging(deep.prompts.points, [(1, 2, 10, 10), (1, 2, 15, 15), (1, 2, 20, 25)]):
        assert deep.heard == []

    assert deep.heard == [[((1, 2), 1)]]
    np.testing.assert_allclose(deep.prompts.snapshot.prompts()[(1, 2), 1].points, [(20, 25)])


def test_points_moved_by_a_program_are_announced(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    flat.heard.clear()

    flat.prompts.points.selected_data = {0}
    flat.prompts.points._move({0}, (30, 30))
    flat.prompts.points._move({0}, (31, 33))

    assert flat.heard == [[((), 1)]]


def test_a_deleted_point_is_announced(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    flat.prompts.add_point((20, 20), True)
    flat.heard.clear()

    flat.prompts.points.selected_data = {0}
    flat.prompts.points.remove_selected()

    assert flat.heard == [[((), 1)]]
    assert flat.prompts.snapshot.prompts()[(), 1].points.tolist() == [[20, 20]]


def test_the_last_point_leaves_no_prompts(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    flat.heard.clear()

    flat.prompts.points.data = np.zeros((0, 2))

    assert flat.heard == [[((), 1)]]
    assert flat.prompts.snapshot.prompts() == {}


def test_pasted_points_belong_to_the_current_object(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), False)
    flat.prompts.points.selected_data = {0}
    flat.prompts.points._copy_data()
    flat.prompts.current_object = 2
    flat.heard.clear()

    flat.prompts.points._paste_data()

    assert flat.heard == [[((), 2)]]
    assert flat.prompts.snapshot.prompts()[(), 2].positive.tolist() == [False]
    assert flat.prompts.points.shown.tolist() == [False, True]


def test_a_point_given_to_another_object_changes_both(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    flat.heard.clear()

    flat.prompts.points.features = {"object": [4], "positive": [True]}

    assert flat.heard == [[((), 1), ((), 4)]]


def test_turning_the_pages_announces_nothing(deep: PromptBench) -> None:
    deep.prompts.add_point((1, 2, 10, 10), True)
    deep.heard.clear()

    deep.viewer.dims.set_current_step(1, 0)
    deep.prompts.current_object = 3
    deep.prompts.object_color = (0, 0, 1, 1)

    assert deep.heard == []


@pytest.mark.parametrize(
    "point",
    [(1, 2, -3, 10), (1, 2, 10, 120), (1, 7, 10, 10), (1, 2, np.nan, 10), (np.nan, 2, 1, 1)],
)
def test_a_point_outside_the_image_is_refused(deep: PromptBench, point: tuple[float, ...]) -> None:
    with pytest.raises(PromptError, match="outside the image"):
        deep.prompts.add_point(point, True)

    assert len(deep.prompts.points.data) == 0


def test_a_click_of_napari_outside_the_image_is_taken_out_again(flat: PromptBench) -> None:
    flat.prompts.add_point((10, 10), True)
    flat.heard.clear()
    flat.prompts.points.mode = "add"

    mouse.click(flat.prompts.points, (10, 400))

    assert len(flat.prompts.points.data) == 1
    assert flat.refusals == ["The point lies outside the image: click inside it."]
    assert flat.heard == []


def test_prompts_lie_on_a_rotated_image() -> None:
    bench = PromptBench((100, 120), rotate=30, scale=(2, 0.5), translate=(5, 7))
    bench.prompts.points.mode = "add"

    mouse.click(bench.prompts.points, (40, 50))

    np.testing.assert_allclose(bench.prompts.snapshot.prompts()[(), 1].points, [(40, 50)])


def test_prompts_of_a_color_image_have_no_color_axis() -> None:
    image = Image(np.zeros((5, 40, 50, 3), np.uint8), rgb=True)
    prompts = PromptLayers(image)

    prompts.add_point((2, 10, 10), True)

    assert list(prompts.snapshot.prompts()) == [((2,), 1)]
