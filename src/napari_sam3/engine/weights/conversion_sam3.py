"""SAM 3 as published, in one file, made into a folder that transformers reads."""

from __future__ import annotations

import gzip
import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ...values import WeightsError
from .. import without_triton  # noqa: F401  before torch or transformers are imported
from .checkpoints import CONFIG
from .state_dicts import (
    QKV,
    KeyRule,
    Progress,
    attention_rules,
    converted_tensors,
    head_rules,
    module_rules,
    perceptron_rules,
    read_pickled,
    write_folder,
)

from transformers import (  # isort: skip
    CLIPTokenizer,
    Sam2VideoVideoProcessor,
    Sam3ImageProcessor,
    Sam3VideoConfig,
    Sam3VideoModel,
)

HALF = [0.5, 0.5, 0.5]  # mean and deviation of each channel
VISION = "detector.backbone.vision_backbone"
TEXT = "detector.backbone.language_backbone"
DECODER = "detector.transformer.decoder"
LAYER_NORMS = {"layer_norm1": "norm1", "layer_norm2": "norm2", "layer_norm3": "norm3"}
FEED_FORWARD = {"mlp.fc1": "linear1", "mlp.fc2": "linear2"}
PROJECTIONS = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "o_proj": "out_proj"}
POSITIONAL_ENCODING = "tracker.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
MASK_DOWNSAMPLINGS = 4  # each halves the size of a mask on its way into memory
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
MERGES = 48894
"""How many pairs of CLIP's vocabulary are merged."""
CONTEXT_LENGTH = 32  # tokens of a text
START, END = "<|startoftext|>", "<|endoftext|>"


def convert_sam3(
    path: Path, folder: Path, progress: Progress, config: Sam3VideoConfig | None = None
) -> Path:
    """Convert the published file; ``config`` is that of another size of the model.

    Raises
    ------
    WeightsError
        If the file is not SAM 3, whole and unchanged.
    StorageError
        If the folder cannot be written.
    """
    config = Sam3VideoConfig() if config is None else config
    with torch.device("meta"):
        model = Sam3VideoModel(config)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    tensors = converted_tensors(path, shapes, read_pickled(path), RULES, UNUSED_IN_DETECTOR)
    config.architectures = [Sam3VideoModel.__name__]
    texts = {CONFIG: config.to_json_string(), "processor_config.json": _processor_config(config)}
    texts |= tokenizer_files(path.parent)
    return write_folder(folder, tensors, texts, progress)


def _processor_config(config: Sam3VideoConfig) -> str:
    shape: Any = config.to_dict()
    side = shape["tracker_config"]["image_size"]
    size, mask = {"height": side, "width": side}, config.low_res_mask_size
    images = Sam3ImageProcessor(size=size, mask_size={"height": mask, "width": mask})
    videos = Sam2VideoVideoProcessor(size=size, image_mean=HALF, image_std=HALF)
    written = {
        "image_processor": json.loads(images.to_json_string()),
        "video_processor": json.loads(videos.to_json_string()),
        "processor_class": "Sam3VideoProcessor",
        "target_size": side,
    }
    return json.dumps(written, indent=2)


def neck_rules(target: str, source: str) -> list[KeyRule]:
    """Name the layers of a feature pyramid network."""
    return [
        KeyRule(f"{target}.fpn_layers.0.scale_layers.0.*", f"{source}.0.dconv_2x2_0.*"),
        KeyRule(f"{target}.fpn_layers.0.scale_layers.2.*", f"{source}.0.dconv_2x2_1.*"),
        KeyRule(f"{target}.fpn_layers.1.scale_layers.0.*", f"{source}.1.dconv_2x2.*"),
        KeyRule(f"{target}.fpn_layers.#.proj1.*", f"{source}.#.conv_1x1.*"),
        KeyRule(f"{target}.fpn_layers.#.proj2.*", f"{source}.#.conv_3x3.*"),
    ]


def _trunk_rules() -> list[KeyRule]:
    new, old = "detector_model.vision_encoder.backbone", f"{VISION}.trunk"
    layer, block = f"{new}.layers.#", f"{old}.blocks.#"
    names = {
        "attention.o_proj": "attn.proj",
        "layer_norm1": "norm1",
        "layer_norm2": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    return [
        KeyRule(f"{new}.embeddings.position_embeddings", f"{old}.pos_embed", "patches"),
        KeyRule(f"{new}.embeddings.patch_embeddings.projection.*", f"{old}.patch_embed.proj.*"),
        KeyRule(f"{new}.layer_norm.*", f"{old}.ln_pre.*"),
        *(KeyRule(f"{layer}.attention.{cut[0]}_proj.*", f"{block}.attn.qkv.*", cut) for cut in QKV),
        *module_rules(layer, block, names),
    ]


def _text_encoder_rules() -> list[KeyRule]:
    new, old = "detector_model.text_encoder.text_model", f"{TEXT}.encoder"
    layer, block = f"{new}.encoder.layers.#", f"{old}.transformer.resblocks.#"
    names = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    return [
        KeyRule(f"{new}.embeddings.token_embedding.*", f"{old}.token_embedding.*"),
        KeyRule(f"{new}.embeddings.position_embedding.weight", f"{old}.positional_embedding"),
        KeyRule(f"{new}.final_layer_norm.*", f"{old}.ln_final.*"),
        KeyRule(
            "detector_model.text_encoder.text_projection.weight",
            f"{old}.text_projection",
            "transposed",
        ),
        KeyRule("detector_model.text_projection.*", f"{TEXT}.resizer.*"),
        *attention_rules(f"{layer}.self_attn", f"{block}.attn", "out_proj"),
        *module_rules(layer, block, names),
    ]


def _cross_attention_rules(target: str, source: str) -> list[KeyRule]:
    """Name layers that attention at themselves, then at something else."""
    return [
        *attention_rules(f"{target}.self_attn", f"{source}.self_attn"),
        *attention_rules(f"{target}.cross_attn", f"{source}.cross_attn_image"),
        *module_rules(target, source, LAYER_NORMS | FEED_FORWARD),
    ]


def _geometry_encoder_rules() -> list[KeyRule]:
    new, old = "detector_model.geometry_encoder", "detector.geometry_encoder"
    boxes = ("boxes_direct_project", "boxes_pool_project", "boxes_pos_enc_project")
    same = {name: name for name in ("label_embed", "cls_embed", *boxes, "final_proj")}
    norms = {
        "vision_layer_norm": "img_pre_norm",
        "prompt_layer_norm": "norm",
        "output_layer_norm": "encode_norm",
    }
    return [
        *module_rules(
            new,
            old,
            same | norms,
        ),
        *_cross_attention_rules(f"{new}.layers.#", f"{old}.encode.#"),
    ]


def _detr_decoder_rules() -> list[KeyRule]:
    new, old = "detector_model.detr_decoder", DECODER
    layer, block = f"{new}.layers.#", f"{old}.layers.#"
    norms = {
        "self_attn_layer_norm": "norm2",
        "text_cross_attn_layer_norm": "catext_norm",
        "vision_cross_attn_layer_norm": "norm1",
        "mlp_layer_norm": "norm3",
    }
    names = {
        "output_layer_norm": "norm",
        "query_embed": "query_embed",
        "reference_points": "reference_points",
        "presence_token": "presence_token",
        "presence_layer_norm": "presence_token_out_norm",
    }
    return [
        *attention_rules(f"{layer}.self_attn", f"{block}.self_attn"),
        *attention_rules(f"{layer}.text_cross_attn", f"{block}.ca_text"),
        *attention_rules(f"{layer}.vision_cross_attn", f"{block}.cross_attn"),
        *module_rules(layer, block, norms | FEED_FORWARD),
        *module_rules(new, old, names),
        *perceptron_rules(f"{new}.box_head", f"{old}.bbox_embed", 3),
        *perceptron_rules(f"{new}.presence_head", f"{old}.presence_token_head", 3),
        *perceptron_rules(f"{new}.ref_point_head", f"{old}.ref_point_head", 2),
        *perceptron_rules(f"{new}.box_rpb_embed_x", f"{old}.boxRPB_embed_x", 2),
        *perceptron_rules(f"{new}.box_rpb_embed_y", f"{old}.boxRPB_embed_y", 2),
    ]


def _segmentation_rules() -> list[KeyRule]:
    new, old = "detector_model.mask_decoder", "detector.segmentation_head"
    scores, scoring = "detector_model.dot_product_scoring", "detector.dot_prod_scoring"
    names = {
        "pixel_decoder.conv_layers.#": "pixel_decoder.conv_layers.#",
        "pixel_decoder.norms.#": "pixel_decoder.norms.#",
        "mask_embedder.layers.#": "mask_predictor.mask_embed.layers.#",
        "instance_projection": "instance_seg_head",
        "semantic_projection": "semantic_seg_head",
        "prompt_cross_attn_norm": "cross_attn_norm",
    }
    projections = {
        "text_mlp_out_norm": "prompt_mlp.out_norm",
        "text_proj": "prompt_proj",
        "query_proj": "hs_proj",
    }
    return [
        *module_rules(new, old, names),
        *attention_rules(f"{new}.prompt_cross_attn", f"{old}.cross_attend_prompt"),
        *perceptron_rules(f"{scores}.text_mlp", f"{scoring}.prompt_mlp", 2),
        *module_rules(scores, scoring, projections),
    ]


DETECTOR_RULES: tuple[KeyRule, ...] = (
    *_trunk_rules(),
    *neck_rules("detector_model.vision_encoder.neck", f"{VISION}.convs"),
    *_text_encoder_rules(),
    *_geometry_encoder_rules(),
    *_cross_attention_rules(
        "detector_model.detr_encoder.layers.#", "detector.transformer.encoder.layers.#"
    ),
    *_detr_decoder_rules(),
    *_segmentation_rules(),
)
UNUSED_IN_DETECTOR: tuple[str, ...] = (
    r".*\.freqs_cis$",  # made anew from the size of the image
    r".*\.attn_mask$",
    r".*\.relative_coords$",
    r".*\.(compilable_)?cord_cache",
    r"detector\.geometry_encoder\.points_",  # points in concepts, which transformers leaves out
    r"detector\.transformer\.decoder\.instance_",
    r"detector\.instance_",
)


def _tracker_rules() -> list[KeyRule]:
    parameters = {
        "no_memory_embedding": "no_mem_embed",
        "no_memory_positional_encoding": "no_mem_pos_enc",
        "memory_temporal_positional_encoding": "maskmem_tpos_enc",
        "no_object_pointer": "no_obj_ptr",
        "occlusion_spatial_embedding_parameter": "no_obj_embed_spatial",
    }
    modules = {
        "mask_downsample": "mask_downsample",
        "temporal_positional_encoding_projection_layer": "obj_ptr_tpos_proj",
    }
    return [
        *(KeyRule(f"tracker_model.{new}", f"tracker.{old}") for new, old in parameters.items()),
        *module_rules("tracker_model", "tracker", modules),
        *head_rules("tracker_model.object_pointer_proj", "tracker.obj_ptr_proj"),
        KeyRule("tracker_model.shared_image_embedding.positional_embedding", POSITIONAL_ENCODING),
    ]


def _prompt_encoder_rules() -> list[KeyRule]:
    new, old = "tracker_model.prompt_encoder", "tracker.sam_prompt_encoder"
    names = {
        "mask_embed.conv1": "mask_downscaling.0",
        "mask_embed.layer_norm1": "mask_downscaling.1",
        "mask_embed.conv2": "mask_downscaling.3",
        "mask_embed.layer_norm2": "mask_downscaling.4",
        "mask_embed.conv3": "mask_downscaling.6",
        "no_mask_embed": "no_mask_embed",
        "not_a_point_embed": "not_a_point_embed",
    }
    return [
        KeyRule(f"{new}.shared_embedding.positional_embedding", POSITIONAL_ENCODING),
        KeyRule(f"{new}.point_embed.weight", f"{old}.point_embeddings.{{0-3}}.weight", "rows"),
        *module_rules(new, old, names),
    ]


def _mask_decoder_rules() -> list[KeyRule]:
    new, old = "tracker_model.mask_decoder", "tracker.sam_mask_decoder"
    names = {name: name for name in ("iou_token", "mask_tokens", "obj_score_token")}
    names |= {"conv_s0": "conv_s0", "conv_s1": "conv_s1"}
    names |= {"upscale_conv1": "output_upscaling.0", "upscale_layer_norm": "output_upscaling.1"}
    names |= {"upscale_conv2": "output_upscaling.3"}
    names |= {"transformer.layer_norm_final_attn": "transformer.norm_final_attn"}
    layer, block = f"{new}.transformer.layers.#", f"{old}.transformer.layers.#"
    parts = LAYER_NORMS | {"layer_norm4": "norm4"}
    parts |= {"mlp.proj_in": "mlp.lin1", "mlp.proj_out": "mlp.lin2"}
    attentions = ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    final = "transformer.final_attn_token_to_image"
    return [
        *module_rules(new, old, names),
        *module_rules(layer, block, parts),
        *(
            rule
            for attention in attentions
            for rule in _projection_rules(f"{layer}.{attention}", f"{block}.{attention}")
        ),
        *_projection_rules(f"{new}.{final}", f"{old}.{final}"),
        *head_rules(f"{new}.output_hypernetworks_mlps.#", f"{old}.output_hypernetworks_mlps.#"),
        *head_rules(f"{new}.iou_prediction_head", f"{old}.iou_prediction_head"),
        *head_rules(f"{new}.pred_obj_score_head", f"{old}.pred_obj_score_head"),
    ]


def _projection_rules(target: str, source: str) -> list[KeyRule]:
    return module_rules(target, source, PROJECTIONS)


def _memory_attention_rules() -> list[KeyRule]:
    new, old = "tracker_model.memory_attention", "tracker.transformer.encoder"
    layer, block = f"{new}.layers.#", f"{old}.layers.#"
    parts = LAYER_NORMS | {"linear1": "linear1", "linear2": "linear2"}
    return [
        *_projection_rules(f"{layer}.self_attn", f"{block}.self_attn"),
        *_projection_rules(f"{layer}.cross_attn_image", f"{block}.cross_attn_image"),
        *module_rules(layer, block, parts),
        *module_rules(new, old, {"layer_norm": "norm"}),
    ]


def _memory_encoder_rules() -> list[KeyRule]:
    new, old = "tracker_model.memory_encoder", "tracker.maskmem_backbone"
    down, encoder = f"{new}.mask_downsampler", f"{old}.mask_downsampler.encoder"
    layer, block = f"{new}.memory_fuser.layers.#", f"{old}.fuser.layers.#"
    names = {"depthwise_conv": "dwconv", "layer_norm": "norm"}
    names |= {"pointwise_conv1": "pwconv1", "pointwise_conv2": "pwconv2"}
    steps = {f"layers.{step}.conv": f"{3 * step}" for step in range(MASK_DOWNSAMPLINGS)}
    steps |= {f"layers.{step}.layer_norm": f"{3 * step + 1}" for step in range(MASK_DOWNSAMPLINGS)}
    steps |= {"final_conv": f"{3 * MASK_DOWNSAMPLINGS}"}
    return [
        *module_rules(down, encoder, steps),
        *module_rules(new, old, {"feature_projection": "pix_feat_proj", "projection": "out_proj"}),
        KeyRule(f"{layer}.scale", f"{block}.gamma"),
        *module_rules(layer, block, names),
    ]


TRACKER_RULES: tuple[KeyRule, ...] = (
    *neck_rules("tracker_neck", f"{VISION}.sam2_convs"),
    *_tracker_rules(),
    *_prompt_encoder_rules(),
    *_mask_decoder_rules(),
    *_memory_attention_rules(),
    *_memory_encoder_rules(),
)


RULES: tuple[KeyRule, ...] = (*DETECTOR_RULES, *TRACKER_RULES)


def tokenizer_files(beside: Path) -> dict[str, str]:
    """Return the texts of the files a tokenizer is read from, none where it cannot be had.

    Parameters
    ----------
    beside : Path
        A folder that may hold these files, or CLIP's vocabulary.
    """
    if all((beside / name).is_file() for name in TOKENIZER_FILES):
        return {name: (beside / name).read_text(encoding="utf-8") for name in TOKENIZER_FILES}
    vocabulary = next((file for file in _vocabulary_files(beside) if file.is_file()), None)
    return {} if vocabulary is None else tokenizer_from_vocabulary(vocabulary)


def tokenizer_from_vocabulary(vocabulary: Path) -> dict[str, str]:
    """Make a tokenizer from the pairs that CLIP merges, the most frequent first.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        with gzip.open(vocabulary, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()[1 : MERGES + 1]
    except (OSError, EOFError, ValueError) as error:
        raise WeightsError(f"{vocabulary} cannot be read ({error}): remove it.") from error
    merges: list[Any] = [(left, right) for left, right in (line.split() for line in lines)]
    letters = _byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += [left + right for left, right in merges]
    tokenizer = CLIPTokenizer(
        vocab={word: number for number, word in enumerate([*words, START, END])},
        merges=merges,
        model_max_length=CONTEXT_LENGTH,
        pad_token=END,
    )
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return {name: (Path(folder) / name).read_text(encoding="utf-8") for name in TOKENIZER_FILES}


def _vocabulary_files(beside: Path) -> list[Path]:
    """Name where the vocabulary may lie: beside the weights, or in open_clip."""
    package = find_spec("open_clip")
    folders = package.submodule_search_locations if package else None
    return [Path(folder) / VOCABULARY for folder in (beside, *(folders or ()))]


def _byte_letters() -> list[str]:
    """Return a printable letter for every byte: those that are printable first, as themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = range(256, 256 + 256 - len(printable))
    return [chr(code) for code in (*printable, *rest)]
