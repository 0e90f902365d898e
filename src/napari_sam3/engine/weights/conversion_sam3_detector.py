"""Names in SAM 3's detector: as published, and as transformers calls them."""

from __future__ import annotations

from .conversion_names import THIRDS, Rule, attention, perceptron, renamed

VISION = "detector.backbone.vision_backbone"
TEXT = "detector.backbone.language_backbone"
DECODER = "detector.transformer.decoder"
LAYER_NORMS = {"layer_norm1": "norm1", "layer_norm2": "norm2", "layer_norm3": "norm3"}
FEED_FORWARD = {"mlp.fc1": "linear1", "mlp.fc2": "linear2"}


def neck(target: str, source: str) -> list[Rule]:
    """Name the layers of a pyramid of feature maps."""
    return [
        Rule(f"{target}.fpn_layers.0.scale_layers.0.*", f"{source}.0.dconv_2x2_0.*"),
        Rule(f"{target}.fpn_layers.0.scale_layers.2.*", f"{source}.0.dconv_2x2_1.*"),
        Rule(f"{target}.fpn_layers.1.scale_layers.0.*", f"{source}.1.dconv_2x2.*"),
        Rule(f"{target}.fpn_layers.#.proj1.*", f"{source}.#.conv_1x1.*"),
        Rule(f"{target}.fpn_layers.#.proj2.*", f"{source}.#.conv_3x3.*"),
    ]


def _trunk() -> list[Rule]:
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
        Rule(f"{new}.embeddings.position_embeddings", f"{old}.pos_embed", "patches"),
        Rule(f"{new}.embeddings.patch_embeddings.projection.*", f"{old}.patch_embed.proj.*"),
        Rule(f"{new}.layer_norm.*", f"{old}.ln_pre.*"),
        *(Rule(f"{layer}.attention.{cut[0]}_proj.*", f"{block}.attn.qkv.*", cut) for cut in THIRDS),
        *renamed(layer, block, names),
    ]


def _text() -> list[Rule]:
    new, old = "detector_model.text_encoder.text_model", f"{TEXT}.encoder"
    layer, block = f"{new}.encoder.layers.#", f"{old}.transformer.resblocks.#"
    names = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    return [
        Rule(f"{new}.embeddings.token_embedding.*", f"{old}.token_embedding.*"),
        Rule(f"{new}.embeddings.position_embedding.weight", f"{old}.positional_embedding"),
        Rule(f"{new}.final_layer_norm.*", f"{old}.ln_final.*"),
        Rule(
            "detector_model.text_encoder.text_projection.weight",
            f"{old}.text_projection",
            "transposed",
        ),
        Rule("detector_model.text_projection.*", f"{TEXT}.resizer.*"),
        *attention(f"{layer}.self_attn", f"{block}.attn", "out_proj"),
        *renamed(layer, block, names),
    ]


def _crossing_layers(target: str, source: str) -> list[Rule]:
    """Name layers that look at themselves, then at something else."""
    return [
        *attention(f"{target}.self_attn", f"{source}.self_attn"),
        *attention(f"{target}.cross_attn", f"{source}.cross_attn_image"),
        *renamed(target, source, LAYER_NORMS | FEED_FORWARD),
    ]


def _geometry() -> list[Rule]:
    new, old = "detector_model.geometry_encoder", "detector.geometry_encoder"
    boxes = ("boxes_direct_project", "boxes_pool_project", "boxes_pos_enc_project")
    same = {name: name for name in ("label_embed", "cls_embed", *boxes, "final_proj")}
    norms = {
        "vision_layer_norm": "img_pre_norm",
        "prompt_layer_norm": "norm",
        "output_layer_norm": "encode_norm",
    }
    return [
        *renamed(
            new,
            old,
            same | norms,
        ),
        *_crossing_layers(f"{new}.layers.#", f"{old}.encode.#"),
    ]


def _decoder() -> list[Rule]:
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
        *attention(f"{layer}.self_attn", f"{block}.self_attn"),
        *attention(f"{layer}.text_cross_attn", f"{block}.ca_text"),
        *attention(f"{layer}.vision_cross_attn", f"{block}.cross_attn"),
        *renamed(layer, block, norms | FEED_FORWARD),
        *renamed(new, old, names),
        *perceptron(f"{new}.box_head", f"{old}.bbox_embed", 3),
        *perceptron(f"{new}.presence_head", f"{old}.presence_token_head", 3),
        *perceptron(f"{new}.ref_point_head", f"{old}.ref_point_head", 2),
        *perceptron(f"{new}.box_rpb_embed_x", f"{old}.boxRPB_embed_x", 2),
        *perceptron(f"{new}.box_rpb_embed_y", f"{old}.boxRPB_embed_y", 2),
    ]


def _masks_and_scores() -> list[Rule]:
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
        *renamed(new, old, names),
        *attention(f"{new}.prompt_cross_attn", f"{old}.cross_attend_prompt"),
        *perceptron(f"{scores}.text_mlp", f"{scoring}.prompt_mlp", 2),
        *renamed(scores, scoring, projections),
    ]


DETECTOR_RULES: tuple[Rule, ...] = (
    *_trunk(),
    *neck("detector_model.vision_encoder.neck", f"{VISION}.convs"),
    *_text(),
    *_geometry(),
    *_crossing_layers(
        "detector_model.detr_encoder.layers.#", "detector.transformer.encoder.layers.#"
    ),
    *_decoder(),
    *_masks_and_scores(),
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
