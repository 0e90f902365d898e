"""The text models that are known before they are on a computer."""

from __future__ import annotations

from ..weights.catalog import GIGABYTE, CatalogModel

MIT = "MIT: free to use, also commercially."
ENGLISH = "Ranks what a model without words has found by a text in English."


def _clip(name: str, title: str, millions: int, abilities: str) -> CatalogModel:
    parameters = millions * 1_000_000
    return CatalogModel(
        id=name,
        title=title,
        parameters=parameters,
        download_bytes=4 * parameters,
        licence=MIT,
        abilities=abilities,
        memory_bytes=GIGABYTE + 8 * parameters,  # the weights are there twice while they are read
        gpu_bytes=GIGABYTE + 4 * parameters,
        cpu_seconds=None,
        gpu_seconds=None,
    )


BIOMED_CLIP = _clip(
    "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
    "BiomedCLIP",
    196,
    f"{ENGLISH} Has learnt from the figures of biomedical papers.",
)
CLIPS: tuple[CatalogModel, ...] = (
    BIOMED_CLIP,
    _clip(
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "CLIP",
        151,
        f"{ENGLISH} Has learnt from pictures of everyday life.",
    ),
    _clip(
        "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k",
        "Multilingual CLIP",
        366,
        "Ranks what a model without words has found by a text in any of a hundred languages.",
    ),
)


def known_clip(name: str) -> CatalogModel | None:
    """Return the text model of this id, if it is known."""
    return next((model for model in CLIPS if model.id == name), None)
