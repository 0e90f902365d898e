import numpy as np

from napari_sam3.layers.outlines import Outline
from napari_sam3.layers.prompt_state import PromptState


def state(
    *points: tuple[float, float, float], object_id: int = 1, outlines: tuple[Outline, ...] = ()
) -> PromptState:
    count = len(points)
    return PromptState(
        shape=(4, 20, 20),
        points=np.array(points, float).reshape(count, 3),
        objects=np.full(count, object_id),
        positive=np.ones(count, bool),
        outlines=outlines,
    )


def box(frame: int, size: float) -> Outline:
    corners = [(frame, 1, 1), (frame, 1, size), (frame, size, size), (frame, size, 1)]
    return Outline(np.array(corners, float), "rectangle", 1)


def test_points_that_are_no_numbers_are_left_out() -> None:
    prompts = state((1, np.nan, 5), (np.nan, 5, 5), (1, 6, 7), (1, 6, np.inf)).prompts()

    assert {key: value.points.tolist() for key, value in prompts.items()} == {((1,), 1): [[6, 7]]}


def test_points_on_no_frame_are_left_out() -> None:
    assert state((-1, 5, 5), (4, 5, 5)).prompts() == {}


def test_the_order_of_points_is_kept() -> None:
    prompts = state((1, 9, 9), (2, 5, 5), (1, 3, 3)).prompts()

    assert prompts[(1,), 1].points.tolist() == [[9, 9], [3, 3]]


def test_equal_states_do_not_differ() -> None:
    one = state((1, 5, 5), outlines=(box(2, 9),))

    assert one.keys_that_differ(state((1, 5, 5), outlines=(box(2, 9),))) == frozenset()


def test_states_differ_where_a_point_or_an_outline_does() -> None:
    one = state((0, 5, 5), (1, 5, 5), outlines=(box(2, 9), box(3, 9)))
    other = state((0, 5, 5), (1, 5, 6), outlines=(box(2, 8), box(3, 9)))

    assert one.keys_that_differ(other) == {((1,), 1), ((2,), 1)}


def test_states_differ_where_only_one_of_them_says_something() -> None:
    assert state((0, 5, 5)).keys_that_differ(state()) == {((0,), 1)}


def test_a_point_of_another_object_differs_for_both() -> None:
    differing = state((0, 5, 5)).keys_that_differ(state((0, 5, 5), object_id=2))

    assert differing == {((0,), 1), ((0,), 2)}
