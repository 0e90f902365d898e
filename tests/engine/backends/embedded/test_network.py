from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from napari_sam3.engine.backends.embedded.model import current_name, shipped_weights
from napari_sam3.engine.backends.embedded.network import (
    Memory,
    MemoryAttention,
    Network,
    fold_batchnorm,
    prepare,
)

WEIGHTS = shipped_weights()


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network().eval()


def crops(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.rand(count, 32, 56, 56),
        torch.rand(count, 64, 28, 28),
        torch.rand(count, 7, 56, 56),
    )


@torch.inference_mode()
def test_features_have_half_and_quarter_of_the_resolution(network):
    image = torch.rand(2, 3, 64, 96)

    features = network.encode(image)

    assert features.fine.shape == (2, 32, 32, 48)
    assert features.coarse.shape == (2, 64, 16, 24)
    assert features.dense.shape == (2, 3, 32, 48)


@torch.inference_mode()
def test_an_image_is_encoded_the_same_alone_and_in_a_batch(network):
    images = torch.rand(2, 3, 64, 64) * torch.tensor([1.0, 0.1])[:, None, None, None]

    alone = network.encode(images[:1])
    together = network.encode(images)

    torch.testing.assert_close(alone.fine, together.fine[:1], atol=1e-4, rtol=1e-4)


def test_a_grey_image_has_no_colour_channels():
    image = torch.rand(1, 1, 32, 32).expand(-1, 3, -1, -1)

    prepared = prepare(image)

    assert prepared.shape == (1, 4, 32, 32)
    assert prepared[:, 2:].abs().max() < 1e-6


def test_brightness_is_not_stretched_per_image():
    image = torch.rand(1, 3, 32, 32)

    dim, full = prepare(image * 0.5), prepare(image)

    torch.testing.assert_close((dim[:, 0] + 1) * 2, full[:, 0] + 1)


@torch.inference_mode()
def test_every_prompt_gets_three_scored_hypotheses(network):
    fine, coarse, planes = crops(4)

    output = network.decode(fine, coarse, planes)

    assert output.logits.shape == (4, 3, 56, 56)
    assert output.scores.shape == (4, 3)
    assert output.presence.shape == (4,)


@torch.inference_mode()
def test_an_empty_memory_is_no_memory(network):
    fine, coarse, planes = crops(2)
    nothing = Memory(torch.zeros(2, 64, 28, 28), torch.zeros(2, 1, 28, 28))

    without, with_nothing = (network.decode(fine, coarse, planes, m) for m in (None, nothing))

    torch.testing.assert_close(without.logits, with_nothing.logits)


@torch.inference_mode()
def test_prompts_with_and_without_memory_share_a_batch(network):
    fine, coarse, planes = crops(2)
    mask = torch.zeros(2, 1, 28, 28)
    mask[0, :, 10:18, 10:18] = 1
    memory = Memory(torch.rand(2, 64, 28, 28) * mask.amax((2, 3), keepdim=True), mask)

    together = network.decode(fine, coarse, planes, memory)
    alone = network.decode(fine[1:], coarse[1:], planes[1:])

    torch.testing.assert_close(together.logits[1:], alone.logits, atol=1e-4, rtol=1e-4)


def memory_of(count: int) -> Memory:
    mask = torch.zeros(count, 1, 28, 28)
    mask[..., 10:18, 10:18] = 1
    return Memory(torch.rand(count, 64, 28, 28), mask)


@torch.inference_mode()
def test_a_propagated_object_gets_three_scored_hypotheses_alone_and_in_a_batch(network):
    fine, coarse, planes = crops(3)
    memory, first = memory_of(3), memory_of(3)

    together = network.propagate(fine, coarse, planes, memory, first)
    last, origin = (Memory(part.coarse[2:], part.mask[2:]) for part in (memory, first))
    alone = network.propagate(fine[2:], coarse[2:], planes[2:], last, origin)

    assert together.logits.shape == (3, 3, 56, 56)
    assert together.scores.shape == (3, 3)
    assert together.presence.shape == (3,)
    torch.testing.assert_close(together.logits[2:], alone.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.presence[2:], alone.presence, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_both_decoders_count_the_same_in_a_propagation(network):
    fine, coarse, planes = crops(1)
    memory, first = memory_of(1), memory_of(1)

    both = network.propagate(fine, coarse, planes, memory, first)

    prompted = network.decoder(fine, coarse, planes, memory)
    propagated = network.propagation_decoder(fine, coarse, planes, memory, first)
    torch.testing.assert_close(both.logits, (prompted.logits + propagated.logits) / 2)
    torch.testing.assert_close(both.presence, (prompted.presence + propagated.presence) / 2)


@torch.inference_mode()
def test_the_first_frame_tells_an_object_from_what_surrounds_it():
    torch.manual_seed(0)
    inside, outside = torch.randn(2, 1, 64, 1, 1)
    mask = memory_of(1).mask
    frame = inside * mask + outside * (1 - mask)

    attended = MemoryAttention(64).compare(frame, Memory(frame, mask))[0]

    carried, object_similarity, ground_similarity = attended
    there = mask[0, 0] > 0
    assert object_similarity[there].min() > object_similarity[~there].max()
    assert ground_similarity[there].max() < ground_similarity[~there].min()
    assert carried[there].mean() > 0.9


@torch.inference_mode()
def test_memory_attention_finds_a_moved_object():
    torch.manual_seed(0)
    before = torch.randn(1, 64, 14, 14).repeat_interleave(2, 2).repeat_interleave(2, 3)
    mask = torch.zeros(1, 1, 28, 28)
    mask[..., 8:14, 8:14] = 1
    now = before.roll((4, 2), (2, 3))

    carried = MemoryAttention(64)(now, Memory(before, mask))[0, 0]

    moved = mask.roll((4, 2), (2, 3))[0, 0] > 0
    assert carried[moved].mean() > 0.9
    assert carried[~moved].mean() < 0.1


@torch.inference_mode()
def test_folding_changes_no_features(network):
    load_weights(network)
    image = torch.rand(1, 3, 64, 64)
    before = network.encode(image)

    after = fold_batchnorm(network).encode(image)

    torch.testing.assert_close(before.dense, after.dense, atol=1e-3, rtol=1e-3)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


def test_weights_in_the_wheel_fit_the_network(network):
    load_weights(network)

    with safe_open(WEIGHTS, "pt") as file:
        facts = file.metadata()
    assert facts["format"] == "napari-sam3 embedded 2"
    assert facts["licence"] == "BSD-3-Clause"
    assert WEIGHTS.stat().st_size < 12e6


def load_weights(network: Network) -> None:
    tensors = load_file(WEIGHTS)
    network.load_state_dict({current_name(name): tensors[name].float() for name in tensors})
