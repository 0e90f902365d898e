"""The registry of model kinds, one record each, and which published model suits a computer.

A new model adds its record here; its files are recognised by it, and its class is loaded by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HUB = "https://huggingface.co"
GIGABYTE = 10**9

Ability = Literal["points", "boxes", "masks", "everything", "text", "exemplars", "video"]
"""What a model takes as prompts, detects without them, or propagates (video)."""
PROMPTS: tuple[Ability, ...] = ("points", "boxes", "masks")


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A published model, as it is known before it is on this computer."""

    id: str  # "embedded", or its name on the Hugging Face hub
    title: str
    licence: str
    summary: str  # what it can do, in sentences
    parameters: int
    download_bytes: int
    memory_bytes: int  # needed by the process, on a CPU and in the computer's memory
    gpu_bytes: int  # needed on a GPU
    cpu_seconds: float | None = None  # to encode one image on two cores; None where not measured
    gpu_seconds: float | None = None  # the same on the GPU of a laptop
    is_gated: bool = False  # whether its makers approve everybody who downloads it

    @property
    def page(self) -> str:
        """Where it is described, and access is requested."""
        return f"{HUB}/{self.id}" if "/" in self.id else HUB


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a model, in a folder or in a repository of the hub."""

    config: str
    weights: tuple[str, ...]  # alternatives, the first is preferred
    extras: tuple[str, ...]  # patterns of all else that is useful

    @property
    def patterns(self) -> list[str]:
        """All that may be downloaded."""
        return [self.config, *self.weights, *self.extras]


TOKENIZER_FILES = ("tokenizer*.json", "vocab.json", "merges.txt")
TRANSFORMERS_FILES = ModelFiles(
    "config.json", ("model.safetensors",), ("*processor_config.json", *TOKENIZER_FILES)
)
OPEN_CLIP_FILES = ModelFiles(
    "open_clip_config.json",
    (
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.safetensors",
        "open_clip_pytorch_model.bin",
    ),
    ("config.json", "vocab.txt", "*.model", "special_tokens_map.json", *TOKENIZER_FILES),
)


@dataclass(frozen=True, slots=True)
class ModelKind:
    """All that is known of one kind of model.

    A checkpoint is recognised by ``model_types`` in the config.json of a folder, by
    ``published_tensors`` in a .pt file, or by ``file_format`` in a .safetensors file. It can be
    loaded if there is a ``loader``, after a conversion if there is a ``converter``, and otherwise
    not at all.
    """

    name: str
    title: str
    licence: str
    summary: str  # what it can do, in sentences
    abilities: frozenset[Ability]
    model_types: tuple[str, ...] = ()  # as config.json names it
    modules: tuple[str, ...] = ()  # what the names of tensors in a folder begin with, all needed
    published_tensors: tuple[str, ...] = ()  # patterns, each of which begins a name in a .pt file
    published_names: tuple[str, ...] = ()  # parts of the name of a .pt file
    file_format: str = ""  # what the header of a .safetensors file says first
    loader: str = ""  # "module:class", whose `load` takes a path and a device
    converter: str = ""  # "module:function" of a path, a folder and a progress callback
    why_not_loaded: str = ""  # ends a sentence that begins with the path
    is_in_package: bool = False  # loaded by the id of its model, without a download
    models: tuple[CatalogModel, ...] = ()  # all published ones in the catalogue

    @property
    def is_convertible(self) -> bool:
        """Whether it must be converted before it can be loaded."""
        return bool(self.converter)


BACKENDS = "napari_sam3.engine.backends"
WEIGHTS = "napari_sam3.engine.weights"
APACHE = "Apache-2.0: free to use, also commercially."
MIT = "MIT: free to use, also commercially."
BSD = "BSD-3-Clause, as the plugin."
SAM_LICENSE = (
    "SAM License: free to use, also commercially, but not for military, nuclear or weapons "
    "purposes; acknowledge SAM 3 in publications."
)
UNKNOWN_LICENCE = "As stated where you got it."

CLICKS = "Points, boxes and outlines; propagates objects through stacks."
IMAGE_CLICKS = "Points, boxes and outlines; propagates what hardly moves, for it has no memory."
CLICKS_EVERYTHING = frozenset[Ability]((*PROMPTS, "everything", "video"))
TRACKER_MODULES = ("vision_encoder", "prompt_encoder", "mask_decoder", "memory_attention")


EMBEDDED_SUMMARY = f"{CLICKS} Finds everything, or all that is like an example. Reads no words."
EMBEDDED = CatalogModel(
    id="embedded",
    title="Embedded model",
    licence=BSD,
    summary=EMBEDDED_SUMMARY,
    parameters=2_500_000,
    download_bytes=0,
    memory_bytes=GIGABYTE,
    gpu_bytes=GIGABYTE,
    cpu_seconds=0.2,
)
EMBEDDED_KIND = ModelKind(
    name="embedded",
    title=EMBEDDED.title,
    licence=BSD,
    summary=EMBEDDED_SUMMARY,
    abilities=CLICKS_EVERYTHING | {"exemplars"},
    file_format="napari-sam3 embedded",
    loader=f"{BACKENDS}.embedded.model:EmbeddedBackend",
    is_in_package=True,
    models=(EMBEDDED,),
)

SAM3_SUMMARY = f"{CLICKS} Finds all objects that a word or examples describe."
SAM3 = CatalogModel(
    id="facebook/sam3",
    title="SAM 3",
    licence=SAM_LICENSE,
    summary=SAM3_SUMMARY,
    parameters=859_900_000,
    download_bytes=3_450_000_000,
    memory_bytes=8 * GIGABYTE,
    gpu_bytes=6 * GIGABYTE,
    cpu_seconds=30,
    gpu_seconds=0.3,
    is_gated=True,
)
SAM3_KIND = ModelKind(
    name="sam3",
    title=SAM3.title,
    licence=SAM_LICENSE,
    summary=SAM3_SUMMARY,
    abilities=CLICKS_EVERYTHING | {"text", "exemplars"},
    model_types=("sam3_video",),
    modules=("detector_model", "tracker_model", "tracker_neck"),
    loader=f"{BACKENDS}.sam.sam3:Sam3Backend",
    models=(SAM3,),
)

EDGETAM = CatalogModel(
    id="yonigozlan/EdgeTAM-hf",
    title="EdgeTAM",
    licence=APACHE,
    summary=CLICKS,
    parameters=13_900_000,
    download_bytes=56_000_000,
    memory_bytes=2 * GIGABYTE,
    gpu_bytes=2 * GIGABYTE,
    cpu_seconds=1,
)
EDGETAM_KIND = ModelKind(
    name="edgetam",
    title=EDGETAM.title,
    licence=APACHE,
    summary=CLICKS,
    abilities=CLICKS_EVERYTHING,
    model_types=("edgetam", "edgetam_video"),
    modules=TRACKER_MODULES,
    loader=f"{BACKENDS}.sam.sam2:Sam2Backend",
    models=(EDGETAM,),
)


def _sam2(size: str, parameters: int, cpu_seconds: float | None = None) -> CatalogModel:
    return CatalogModel(
        id=f"facebook/sam2.1-hiera-{size}",
        title=f"SAM 2.1 {size}",
        licence=APACHE,
        summary=CLICKS,
        parameters=parameters,
        download_bytes=4 * parameters,
        memory_bytes=2 * GIGABYTE + 8 * parameters,
        gpu_bytes=2 * GIGABYTE + 4 * parameters,
        cpu_seconds=cpu_seconds,
    )


SAM2_TINY = _sam2("tiny", 39_000_000, 4)
SAM2_BASE = _sam2("base-plus", 81_000_000)
SAM2_KIND = ModelKind(
    name="sam2",
    title="SAM 2",
    licence=APACHE,
    summary=CLICKS,
    abilities=CLICKS_EVERYTHING,
    model_types=("sam2", "sam2_video"),
    modules=TRACKER_MODULES,
    loader=f"{BACKENDS}.sam.sam2:Sam2Backend",
    models=(SAM2_TINY, _sam2("small", 46_000_000), SAM2_BASE, _sam2("large", 224_000_000)),
)


def _sam1(size: str, parameters: int) -> CatalogModel:
    return CatalogModel(
        id=f"facebook/sam-vit-{size}",
        title=f"SAM 1 {size}",
        licence=APACHE,
        summary=IMAGE_CLICKS,
        parameters=parameters,
        download_bytes=4 * parameters,
        memory_bytes=3 * GIGABYTE + 8 * parameters,
        gpu_bytes=3 * GIGABYTE + 4 * parameters,
    )


SAM1_KIND = ModelKind(
    name="sam1",
    title="SAM 1",
    licence=APACHE,
    summary=IMAGE_CLICKS,
    abilities=CLICKS_EVERYTHING,
    model_types=("sam",),
    modules=("vision_encoder", "prompt_encoder", "mask_decoder"),
    loader=f"{BACKENDS}.sam.sam1:Sam1Backend",
    models=(_sam1("base", 94_000_000), _sam1("large", 312_000_000), _sam1("huge", 641_000_000)),
)

SAM3_1_KIND = ModelKind(
    name="sam3.1",
    title="SAM 3.1",
    licence=SAM_LICENSE,
    summary="Nothing here yet.",
    abilities=frozenset(),
    published_tensors=(".*multiplex",),
    published_names=("sam3.1", "multiplex"),
    why_not_loaded=(
        "holds SAM 3.1, which cannot be read yet: use SAM 3 (facebook/sam3) instead, whose folder "
        f"has a {TRANSFORMERS_FILES.weights[0]}."
    ),
)
PUBLISHED_SAM3_KIND = ModelKind(
    name="sam3-original",
    title="SAM 3, as published",
    licence=SAM_LICENSE,
    summary=SAM3_SUMMARY,
    abilities=SAM3_KIND.abilities,
    published_tensors=(r"detector\.", r"tracker\."),
    converter=f"{WEIGHTS}.conversion_sam3:convert_sam3",
)
PUBLISHED_SAM1_KIND = ModelKind(
    name="micro-sam",
    title="SAM 1 for microscopy, as published",
    licence=UNKNOWN_LICENCE,
    summary=IMAGE_CLICKS,
    abilities=SAM1_KIND.abilities,
    published_tensors=(r"image_encoder\.blocks\.",),
    converter=f"{WEIGHTS}.conversion_sam1:convert_sam1",
)


ENGLISH_CLIP = "Ranks what a model without words has found by a text in English."


def _clip(name: str, title: str, parameters: int, summary: str) -> CatalogModel:
    return CatalogModel(
        id=name,
        title=title,
        licence=MIT,
        summary=summary,
        parameters=parameters,
        download_bytes=4 * parameters,
        memory_bytes=GIGABYTE + 8 * parameters,  # the weights are there twice while they are read
        gpu_bytes=GIGABYTE + 4 * parameters,
    )


BIOMED_CLIP = _clip(
    "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
    "BiomedCLIP",
    196_000_000,
    f"{ENGLISH_CLIP} Has learnt from the figures of biomedical papers.",
)
CLIP_KIND = ModelKind(
    name="clip",
    title="CLIP",
    licence=UNKNOWN_LICENCE,
    summary="Ranks what a model without words has found by a text.",
    abilities=frozenset(),
    why_not_loaded=(
        "holds a model that reads texts and outlines nothing: choose it as the text model, and "
        "another to outline."
    ),
    models=(
        BIOMED_CLIP,
        _clip(
            "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
            "CLIP",
            151_000_000,
            f"{ENGLISH_CLIP} Has learnt from pictures of everyday life.",
        ),
        _clip(
            "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k",
            "Multilingual CLIP",
            366_000_000,
            "Ranks what a model without words has found by a text in any of a hundred languages.",
        ),
    ),
)


KINDS: tuple[ModelKind, ...] = (
    EMBEDDED_KIND,
    SAM3_KIND,
    EDGETAM_KIND,
    SAM2_KIND,
    SAM1_KIND,
    SAM3_1_KIND,  # before the published SAM 3, whose tensors it has as well
    PUBLISHED_SAM3_KIND,
    PUBLISHED_SAM1_KIND,
    CLIP_KIND,
)
CATALOG: tuple[CatalogModel, ...] = tuple(
    model for kind in KINDS if kind.loader for model in kind.models
)
"""The models that segment."""
CLIPS: tuple[CatalogModel, ...] = CLIP_KIND.models
"""The text models, which rank what another model has found."""
LONG_SECONDS = 3
"""A wait of so many seconds is announced."""


def models_with(ability: Ability) -> list[str]:
    """Return the id of the first published model of every kind that can do something."""
    return [kind.models[0].id for kind in KINDS if kind.models and ability in kind.abilities]


def known_model(name: str) -> CatalogModel | None:
    """Return the model of this id, if it is in the catalogue."""
    return next((model for model in CATALOG if model.id == name), None)


def kind_in_package(model: str | Path) -> ModelKind | None:
    """Return the kind of a model that comes with the package, by the id of the model."""
    kinds = [kind for kind in KINDS if kind.is_in_package]
    return next((kind for kind in kinds if kind.models[0].id == model), None)


def known_clip(name: str) -> CatalogModel | None:
    """Return the text model of this id, if it is in the catalogue."""
    return next((model for model in CLIPS if model.id == name), None)


def wait_hint(name: str, device: str) -> str:
    """Tell how long encoding one image takes where that is long, or nothing."""
    model = known_model(name)
    if model is None or device != "cpu" or model.cpu_seconds is None:
        return ""
    if model.cpu_seconds < LONG_SECONDS:
        return ""
    return (
        f"Encoding one image takes about {model.cpu_seconds:.0f} s with this model on this "
        "computer."
    )


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model that suits a computer, and a sentence that tells why."""

    model: CatalogModel
    why: str


def recommended(device: str, memory_bytes: int, gpu_bytes: int = 0) -> Recommendation:
    """Choose a model for a computer.

    Parameters
    ----------
    device : str
        The fastest there is: "cpu", "cuda" or "mps".
    memory_bytes : int
        The memory of the computer.
    gpu_bytes : int
        The memory of its CUDA device, 0 where there is none.
    """
    if device == "cuda":
        return _recommended_for_cuda(gpu_bytes)
    if device == "mps" and memory_bytes >= 8 * GIGABYTE:
        return Recommendation(
            SAM2_TINY,
            f"Your Apple GPU suits {SAM2_TINY.title}; {SAM3.title} has not been tried on one.",
        )
    if memory_bytes < 2 * EDGETAM.memory_bytes:
        return Recommendation(
            EMBEDDED,
            f"With {_gigabytes(memory_bytes)} GB of memory the {EMBEDDED.title.lower()} is best.",
        )
    return Recommendation(
        EDGETAM,
        f"Without a GPU the {EMBEDDED.title.lower()} answers at once and {EDGETAM.title} in about "
        f"{EDGETAM.cpu_seconds} s an image; {SAM3.title} takes {SAM3.cpu_seconds} s.",
    )


def _recommended_for_cuda(gpu_bytes: int) -> Recommendation:
    if gpu_bytes >= SAM3.gpu_bytes:
        return Recommendation(
            SAM3,
            f"Your GPU has {_gigabytes(gpu_bytes)} GB: enough for {SAM3.title}, which encodes an "
            "image in less than a second and understands words.",
        )
    return Recommendation(
        SAM2_BASE,
        f"Your GPU has {_gigabytes(gpu_bytes)} GB, too little for {SAM3.title}: "
        f"{SAM2_BASE.title} fits.",
    )


def _gigabytes(count: int) -> str:
    return f"{count / GIGABYTE:.0f}"
