"""Names in SAM 3's tracker: as published, and as transformers calls them."""

from __future__ import annotations

from .conversion_names import Rule, head, renamed
from .conversion_sam3_detector import LAYER_NORMS, VISION, neck

PROJECTIONS = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "o_proj": "out_proj"}
POSITIONS = "tracker.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
STEPS = 4  # each halves the size of a mask on its way into memory


def _own() -> list[Rule]:
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
        *(Rule(f"tracker_model.{new}", f"tracker.{old}") for new, old in parameters.items()),
        *renamed("tracker_model", "tracker", modules),
        *head("tracker_model.object_pointer_proj", "tracker.obj_ptr_proj"),
        Rule("tracker_model.shared_image_embedding.positional_embedding", POSITIONS),
    ]


def _prompts() -> list[Rule]:
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
        Rule(f"{new}.shared_embedding.positional_embedding", POSITIONS),
        Rule(f"{new}.point_embed.weight", f"{old}.point_embeddings.{{0-3}}.weight", "rows"),
        *renamed(new, old, names),
    ]


def _masks() -> list[Rule]:
    new, old = "tracker_model.mask_decoder", "tracker.sam_mask_decoder"
    names = {name: name for name in ("iou_token", "mask_tokens", "obj_score_token")}
    names |= {"conv_s0": "conv_s0", "conv_s1": "conv_s1"}
    names |= {"upscale_conv1": "output_upscaling.0", "upscale_layer_norm": "output_upscaling.1"}
    names |= {"upscale_conv2": "output_upscaling.3"}
    names |= {"transformer.layer_norm_final_attn": "transformer.norm_final_attn"}
    layer, block = f"{new}.transformer.layers.#", f"{old}.transformer.layers.#"
    parts = LAYER_NORMS | {"layer_norm4": "norm4"}
    parts |= {"mlp.proj_in": "mlp.lin1", "mlp.proj_out": "mlp.lin2"}
    looks = ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    final = "transformer.final_attn_token_to_image"
    return [
        *renamed(new, old, names),
        *renamed(layer, block, parts),
        *(rule for look in looks for rule in _look(f"{layer}.{look}", f"{block}.{look}")),
        *_look(f"{new}.{final}", f"{old}.{final}"),
        *head(f"{new}.output_hypernetworks_mlps.#", f"{old}.output_hypernetworks_mlps.#"),
        *head(f"{new}.iou_prediction_head", f"{old}.iou_prediction_head"),
        *head(f"{new}.pred_obj_score_head", f"{old}.pred_obj_score_head"),
    ]


def _look(target: str, source: str) -> list[Rule]:
    return renamed(target, source, PROJECTIONS)


def _memory() -> list[Rule]:
    new, old = "tracker_model.memory_attention", "tracker.transformer.encoder"
    layer, block = f"{new}.layers.#", f"{old}.layers.#"
    parts = LAYER_NORMS | {"linear1": "linear1", "linear2": "linear2"}
    return [
        *_look(f"{layer}.self_attn", f"{block}.self_attn"),
        *_look(f"{layer}.cross_attn_image", f"{block}.cross_attn_image"),
        *renamed(layer, block, parts),
        *renamed(new, old, {"layer_norm": "norm"}),
    ]


def _memory_encoder() -> list[Rule]:
    new, old = "tracker_model.memory_encoder", "tracker.maskmem_backbone"
    down, encoder = f"{new}.mask_downsampler", f"{old}.mask_downsampler.encoder"
    layer, block = f"{new}.memory_fuser.layers.#", f"{old}.fuser.layers.#"
    names = {"depthwise_conv": "dwconv", "layer_norm": "norm"}
    names |= {"pointwise_conv1": "pwconv1", "pointwise_conv2": "pwconv2"}
    steps = {f"layers.{step}.conv": f"{3 * step}" for step in range(STEPS)}
    steps |= {f"layers.{step}.layer_norm": f"{3 * step + 1}" for step in range(STEPS)}
    steps |= {"final_conv": f"{3 * STEPS}"}
    return [
        *renamed(down, encoder, steps),
        *renamed(new, old, {"feature_projection": "pix_feat_proj", "projection": "out_proj"}),
        Rule(f"{layer}.scale", f"{block}.gamma"),
        *renamed(layer, block, names),
    ]


TRACKER_RULES: tuple[Rule, ...] = (
    *neck("tracker_neck", f"{VISION}.sam2_convs"),
    *_own(),
    *_prompts(),
    *_masks(),
    *_memory(),
    *_memory_encoder(),
)
