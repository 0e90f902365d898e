from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tifffile import imwrite

from napari_sam3.engine.backends.embedded.network import MultimaskOutput, Network
from napari_sam3.training.__main__ import main
from napari_sam3.training.config import Config
from napari_sam3.training.data_preparation import make_shards, pairs_folder, triplets_folder
from napari_sam3.training.losses import PromptLoss
from napari_sam3.training.prompt_rounds import PromptRound, RunningMetrics
from napari_sam3.training.prompt_samples import Mixture, PromptBatches, PromptSample
from napari_sam3.training.propagation_samples import PropagationBatches
from napari_sam3.training.stages import PromptStage, PropagationStage
from napari_sam3.training.trainer import Trainer, load_weights
from tests.backends import ellipse


def sample(kind: str, present: bool) -> PromptSample:
    target = np.full((112, 112), present)
    return PromptSample(kind, (0, 0), target, np.zeros((7, 56, 56)), np.zeros((28, 28)))


def first_round(presence: float) -> PromptRound:
    """Return the first predictions for a prompt; the second mask hypothesis scores best."""
    output = MultimaskOutput(torch.zeros(1, 3, 56, 56), torch.zeros(1, 3), torch.tensor([presence]))
    ious = torch.tensor([[0.9, 0.6, 0.1]])
    return PromptRound(
        0, output, PromptLoss(torch.tensor(1.0), ious, torch.tensor([0]), torch.tensor([1]))
    )


def test_the_first_and_the_best_mask_hypothesis_have_means_of_their_own():
    metrics = RunningMetrics()

    metrics.add_round(first_round(4.0), [sample("click", True)])

    assert metrics.means() == pytest.approx({"click0": 0.6, "click0 best": 0.9})


def test_absent_objects_count_for_presence_alone():
    metrics = RunningMetrics()

    metrics.add_round(first_round(4.0), [sample("propagate", False)])
    metrics.add_round(first_round(-4.0), [sample("propagate", False)])

    assert metrics.means() == {"absent": 0.5}


def test_the_text_names_every_mean():
    metrics = RunningMetrics()
    metrics.add("loss", [2.0])
    metrics.add("dense", [1.0])

    assert str(metrics) == "dense 1.000, loss 2.000"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder with three shards of two pairs each, and three of two triplets."""
    folder = tmp_path_factory.mktemp("data")
    make_shards(replace(Config.read(), data=folder, shards=1, shard_size=2, processes=1))
    return folder


@pytest.fixture
def config(data, tmp_path) -> Config:
    return replace(
        Config.read(),
        data=data,
        output=tmp_path,
        shards=1,
        processes=1,
        prompt_steps=2,
        propagation_steps=2,
        views=2,
        samples=2,
        threads=1,
        device="cpu",
    )


def test_shards_that_exist_are_not_made_again(config):
    path = pairs_folder(config) / "training-synthetic-0000.npy"
    made = path.stat().st_mtime_ns

    make_shards(config)

    assert path.stat().st_mtime_ns == made


def test_a_batch_propagates_objects_on_half_of_its_views(config):
    batch = next(iter(PromptBatches(pairs_folder(config), Mixture(4, 3, 0.0), seed=0)))

    assert batch.current.shape == (4, 3, 192, 192)
    assert batch.previous.shape == (2, 3, 192, 192)
    assert len(batch.samples) == 12
    assert not any(sample.memory_mask.any() for sample in batch.samples[6:])


def test_training_ends_with_weights_and_their_metadata(config):
    path = Trainer(config, PromptStage(config)).run()

    load_weights(Network(), path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "napari-sam3 embedded 2"
    assert metadata["steps"] == "2"


def test_an_interrupted_run_is_resumed(config):
    Trainer(config, PromptStage(config)).run()
    longer = replace(config, prompt_steps=3)

    path = Trainer(longer, PromptStage(longer)).run()

    assert path.name == "prompts-000003.safetensors"


def test_training_starts_from_given_weights(config, tmp_path):
    start = Trainer(config, PromptStage(config)).run()
    further = replace(config, output=tmp_path / "next")

    trainer = Trainer(further, PromptStage(further), start)

    torch.testing.assert_close(
        trainer.network.encoder.dense.bias.detach(),
        _loaded(start).encoder.dense.bias.detach(),
    )


def test_a_batch_of_triplets_propagates_objects_on_every_view(config):
    batch = next(iter(PropagationBatches(triplets_folder(config), Mixture(2, 3, 0.0), seed=0)))

    assert batch.frames.shape == (3, 2, 3, 192, 192)
    assert len(batch.samples) == 6


def test_the_propagation_stage_trains_the_propagation_decoder_alone(config):
    start = Trainer(config, PromptStage(config)).run()

    path = Trainer(config, PropagationStage(config), start).run()

    before, after = _loaded(start).state_dict(), _loaded(path).state_dict()
    changed = {name.split(".")[0] for name in before if not before[name].equal(after[name])}
    assert changed == {"propagation_decoder"}


def test_the_propagation_decoder_starts_from_the_decoder_that_has_just_been_trained(config):
    start = Trainer(config, PromptStage(config)).run()

    network = Trainer(config, PropagationStage(config), start).network

    torch.testing.assert_close(
        network.propagation_decoder.merge4[0].weight, network.decoder.merge4[0].weight
    )
    assert not network.propagation_decoder.origin4.weight.any()


def test_the_propagation_decoder_starts_from_its_own_weights_without_a_prompt_stage(config):
    start = Trainer(config, PropagationStage(config)).run()
    alone = replace(config, prompt_minutes=0, output=config.output / "next")

    network = Trainer(alone, PropagationStage(alone), start).network

    assert network.propagation_decoder.origin4.weight.any()


def _loaded(path: Path) -> Network:
    network = Network()
    load_weights(network, path)
    return network


def test_a_run_makes_shards_trains_and_evaluates(tmp_path, caplog):
    folder = tmp_path / "images" / "disk"
    folder.mkdir(parents=True)
    disk = ellipse((64, 64), (30, 34), (12, 12))
    imwrite(folder / "image.tif", disk.astype(np.uint8) * 200)
    imwrite(folder / "labels.tif", disk.astype(np.uint16))
    file = tmp_path / "run.toml"
    file.write_text(
        f'data = "{(tmp_path / "data").as_posix()}"\noutput = "{(tmp_path / "out").as_posix()}"\n'
        f'evaluation_images = "{folder.parent.as_posix()}"\nshards = 1\nshard_size = 2\n'
        "prompt_steps = 2\npropagation_steps = 2\nviews = 2\nsamples = 2\nprocesses = 1\n"
        'threads = 1\ndevice = "cpu"\n'
    )

    with caplog.at_level("INFO"):
        main([str(file)])

    assert list((tmp_path / "out").glob("propagation-*.safetensors"))
    assert "| disk |" in caplog.text
