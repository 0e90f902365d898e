import numpy as np
import pytest
import torch

from napari_sam3.engine.embedded.features import Decoded
from napari_sam3.training.losses import Judged
from napari_sam3.training.rounds import Round
from napari_sam3.training.samples import Sample
from napari_sam3.training.tally import Tally


def sample(asking: str, present: bool) -> Sample:
    target = np.full((112, 112), present)
    return Sample(asking, (0, 0), target, np.zeros((7, 56, 56)), np.zeros((28, 28)))


def answered(presence: float) -> Round:
    """First answer to one prompt, in which the second reading is ranked first."""
    decoded = Decoded(torch.zeros(1, 3, 56, 56), torch.zeros(1, 3), torch.tensor([presence]))
    overlaps = torch.tensor([[0.9, 0.6, 0.1]])
    return Round(
        0, decoded, Judged(torch.tensor(1.0), overlaps, torch.tensor([0]), torch.tensor([1]))
    )


def test_the_first_and_the_best_reading_are_counted_apart():
    tally = Tally()

    tally.add(answered(4.0), [sample("click", True)])

    assert tally.means() == pytest.approx({"click0": 0.6, "click0 best": 0.9})


def test_absent_objects_count_for_presence_alone():
    tally = Tally()

    tally.add(answered(4.0), [sample("follow", False)])
    tally.add(answered(-4.0), [sample("follow", False)])

    assert tally.means() == {"gone": 0.5}


def test_the_text_names_every_mean():
    tally = Tally()
    tally.add_losses(2.0, 1.0)

    assert str(tally) == "dense 1.000, loss 2.000"
