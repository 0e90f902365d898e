"""Where transformers does not do what its documentation suggests, and what was built for it.

Each test passes as long as the trap is there. When one fails, transformers has changed: its
docstring says what may go then.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.sam3_video.modeling_sam3_video import nms_masks

from tests.tiny_models import SAM3_SIDE, load_tiny

CLICK = {"input_points": [[[[50, 50]]]], "input_labels": [[[1]]]}
CORRECTION = {"input_points": [[[[90, 90], [20, 20]]]], "input_labels": [[[1, 0]]]}


@pytest.fixture(scope="module")
def square() -> torch.Tensor:
    side = SAM3_SIDE
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def detector(tiny_sam3):
    return load_tiny("Sam3Model", tiny_sam3)


@pytest.fixture(scope="module")
def words(tiny_sam3):
    return load_tiny("Sam3Processor", tiny_sam3)(text="cell", return_tensors="pt")


@pytest.fixture(scope="module")
def propagation_decoder(tiny_sam3):
    return load_tiny("Sam3TrackerVideoModel", tiny_sam3)


@pytest.fixture(scope="module")
def prompter(tiny_sam3):
    return load_tiny("Sam3TrackerVideoProcessor", tiny_sam3)


@pytest.fixture
def movie(prompter):
    frames = np.random.default_rng(0).integers(0, 255, (4, 60, 80, 3), np.uint8)
    return prompter.init_video_session(video=list(frames), inference_device="cpu")


@torch.inference_mode()
def test_a_correction_on_a_propagated_frame_is_lost(propagation_decoder, prompter, movie):
    """When this fails, compare `Tracker` with `Sam3TrackerVideoModel` again: it may do instead.

    Until then a corrected frame starts a new memory bank of our own.
    """
    prompter.add_inputs_to_inference_session(movie, 0, 1, **CLICK)
    list(propagation_decoder.propagate_in_video_iterator(movie, start_frame_idx=0))
    prompter.add_inputs_to_inference_session(movie, 2, 1, **CORRECTION)
    corrected = propagation_decoder(movie, frame_idx=2).pred_masks.clone()

    again = next(iter(propagation_decoder.propagate_in_video_iterator(movie, start_frame_idx=2)))

    assert again.frame_idx == 2
    assert not torch.equal(again.pred_masks, corrected)


@torch.inference_mode()
def test_a_frame_without_prompts_is_decoded_and_kept_all_the_same(
    propagation_decoder, prompter, movie
):
    """When this fails, inference sessions of transformers can be trusted with several objects.

    Until then `Tracker` keeps the memory of each object itself.
    """
    prompter.add_inputs_to_inference_session(movie, 0, 1, **CLICK)
    propagation_decoder(movie, frame_idx=0)
    prompter.add_inputs_to_inference_session(movie, 3, 2, **CLICK)

    propagation_decoder(movie, frame_idx=1)  # object 2 was never prompted here

    second = movie.obj_id_to_idx(2)
    assert 1 in movie.output_dict_per_obj[second]["cond_frame_outputs"]


@torch.inference_mode()
def test_the_image_tracker_ignores_the_embedding_for_no_memory(tiny_sam3, square):
    """When this fails, clicks can be compared with `Sam3TrackerModel` as it is.

    `test_a_click_is_decoded_as_by_the_stock_tracker` may then hand it the image alone.
    Until then `PromptDecoder` adds the embedding, which the model was trained with.
    """
    tracker = load_tiny("Sam3TrackerModel", tiny_sam3)
    before = tracker.get_image_embeddings(square)
    tracker.no_memory_embedding.add_(5)

    after = tracker.get_image_embeddings(square)

    assert tracker.no_memory_embedding.any()
    assert all(torch.equal(*levels) for levels in zip(before, after, strict=True))


def test_a_new_model_is_saved_so_that_other_classes_miss_its_weights(tiny_sam3, tmp_path):
    """When this fails, `save_original_format=False` in `tests/tiny_models.py` may go.

    The refusal of missing weights in `load_model` stays: a warning is all that transformers says.
    """
    config = transformers.Sam3VideoConfig.from_pretrained(tiny_sam3)
    transformers.Sam3VideoModel(config).save_pretrained(tmp_path)

    _, report = transformers.Sam3TrackerModel.from_pretrained(tmp_path, output_loading_info=True)

    assert any(name.startswith("mask_decoder.") for name in report["missing_keys"])


@torch.inference_mode()
def test_a_text_of_more_than_32_tokens_breaks_the_model(tiny_sam3, detector):
    """When this fails, `TextEncoder` may leave the check of the length to transformers."""
    tokens = load_tiny("Sam3Processor", tiny_sam3)(text="x" * 60, return_tensors="pt")

    with pytest.raises((ValueError, RuntimeError, IndexError)):
        detector.get_text_features(**tokens)


def test_a_tokenizer_without_files_is_made_up(tmp_path):
    """When this fails, `TextEncoder.load` may wait for the error instead of counting the words."""
    tokenizer = transformers.CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)

    assert len(tokenizer) < 10


@torch.inference_mode()
def test_features_of_a_text_must_come_in_a_model_output(detector, words, square):
    """When this fails, `Detector.detect` may hand over the features as they are."""
    vision = detector.get_vision_features(square)
    features = detector.get_text_features(**words).pooler_output

    with pytest.raises(AttributeError, match="pooler_output"):
        detector(vision_embeds=vision, text_embeds=features, attention_mask=words.attention_mask)


@pytest.mark.parametrize("side", [SAM3_SIDE // 2, SAM3_SIDE * 2])
@torch.inference_mode()
def test_images_of_another_size_break_the_model(detector, words, side):
    """When this fails, small images could be encoded faster: `Resizing` may choose the side."""
    with pytest.raises(RuntimeError):
        detector(pixel_values=torch.zeros(1, 3, side, side), **words)


@torch.inference_mode()
def test_masks_of_detections_take_eight_bytes_a_pixel(tiny_sam3, detector, words, square):
    """When this fails, `post_process_instance_segmentation` may replace `upscaled_crop`."""
    processor = load_tiny("Sam3Processor", tiny_sam3)
    output = detector(pixel_values=square, **words)

    [detections] = processor.post_process_instance_segmentation(
        output, 0.0, target_sizes=[(60, 80)]
    )

    assert detections["masks"].dtype == torch.int64
    assert detections["masks"].shape[1:] == (60, 80)


def test_holes_in_masks_are_not_filled(tiny_sam3):
    """When this fails, holes could be filled where masks are upscaled: `max_hole_area` works."""
    processor = load_tiny("Sam3TrackerProcessor", tiny_sam3)
    ring = torch.full((1, 1, 1, 32, 32), 5.0)
    ring[..., 16, 16] = -5.0

    [mask] = processor.post_process_masks(ring, [(32, 32)], max_hole_area=100.0)

    assert not mask[0, 0, 16, 16]  # objects, masks, rows, columns


def test_repeated_detections_are_kept():
    """When this fails without the package "kernels", `suppress_duplicates` of `concepts` may go."""
    twice = torch.ones(2, 8, 8)

    kept = nms_masks(torch.tensor([0.9, 0.8]), twice, prob_threshold=0.5, iou_threshold=0.1)

    assert kept.all()


def test_sam_3_1_is_unknown():
    """When this fails, SAM 3.1 can be loaded: teach `recognise` and the catalogue about it."""
    with pytest.raises(ValueError, match="Unrecognized model identifier"):
        transformers.AutoConfig.for_model("sam3.1_multiplex")

    assert not [name for name in CONFIG_MAPPING_NAMES if "multiplex" in name or "sam3_1" in name]
