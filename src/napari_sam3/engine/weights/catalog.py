"""The models that are known, and which of them suits a computer."""

from __future__ import annotations

from dataclasses import dataclass

GIGABYTE = 10**9
HUB = "https://huggingface.co"
APACHE = "Apache-2.0: free to use, also commercially."
SAM_LICENSE = (
    "SAM License: free to use, also commercially, but not for military, nuclear or weapons "
    "purposes; acknowledge SAM 3 in publications."
)


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """What is known of a model before it is on this computer."""

    id: str  # "embedded", or its name on the Hugging Face hub
    title: str
    parameters: int
    download_bytes: int
    licence: str
    abilities: str
    memory_bytes: int  # needed by the process, on a CPU and in the computer's memory
    gpu_bytes: int  # needed on a GPU
    cpu_seconds: float | None  # to look at one image on two cores; None where not measured
    gpu_seconds: float | None  # the same on the GPU of a laptop
    is_gated: bool = False  # whether its makers approve every user

    @property
    def page(self) -> str:
        """Where it is described, and asked for."""
        return HUB if self.id == "embedded" else f"{HUB}/{self.id}"


LOOKS = "Points, boxes and outlines; follows what hardly moves, for it has no memory."
CLICKS = "Points, boxes and outlines; follows objects through stacks."
EMBEDDED = CatalogModel(
    id="embedded",
    title="Embedded model",
    parameters=2_500_000,
    download_bytes=0,
    licence="BSD-3-Clause, as the plugin.",
    abilities=f"{CLICKS} Finds everything, or all that is like an example. Reads no words.",
    memory_bytes=GIGABYTE,
    gpu_bytes=GIGABYTE,
    cpu_seconds=0.2,
    gpu_seconds=None,
)
SAM3 = CatalogModel(
    id="facebook/sam3",
    title="SAM 3",
    parameters=859_900_000,
    download_bytes=3_450_000_000,
    licence=SAM_LICENSE,
    abilities=f"{CLICKS} Finds all objects that a word or examples describe.",
    memory_bytes=8 * GIGABYTE,
    gpu_bytes=6 * GIGABYTE,
    cpu_seconds=30,
    gpu_seconds=0.3,
    is_gated=True,
)
EDGETAM = CatalogModel(
    id="yonigozlan/EdgeTAM-hf",
    title="EdgeTAM",
    parameters=13_900_000,
    download_bytes=56_000_000,
    licence=APACHE,
    abilities=CLICKS,
    memory_bytes=2 * GIGABYTE,
    gpu_bytes=2 * GIGABYTE,
    cpu_seconds=1,
    gpu_seconds=None,
)


def _sam2(size: str, parameters: int, seconds: float | None) -> CatalogModel:
    return CatalogModel(
        id=f"facebook/sam2.1-hiera-{size}",
        title=f"SAM 2.1 {size}",
        parameters=parameters,
        download_bytes=4 * parameters,
        licence=APACHE,
        abilities=CLICKS,
        memory_bytes=2 * GIGABYTE + 8 * parameters,
        gpu_bytes=2 * GIGABYTE + 4 * parameters,
        cpu_seconds=seconds,
        gpu_seconds=None,
    )


def _sam1(size: str, parameters: int) -> CatalogModel:
    return CatalogModel(
        id=f"facebook/sam-vit-{size}",
        title=f"SAM 1 {size}",
        parameters=parameters,
        download_bytes=4 * parameters,
        licence=APACHE,
        abilities=LOOKS,
        memory_bytes=3 * GIGABYTE + 8 * parameters,
        gpu_bytes=3 * GIGABYTE + 4 * parameters,
        cpu_seconds=None,
        gpu_seconds=None,
    )


SAM2_TINY = _sam2("tiny", 39_000_000, 4)
SAM2_BASE = _sam2("base-plus", 81_000_000, None)
CATALOG: tuple[CatalogModel, ...] = (
    EMBEDDED,
    SAM3,
    EDGETAM,
    SAM2_TINY,
    _sam2("small", 46_000_000, None),
    SAM2_BASE,
    _sam2("large", 224_000_000, None),
    _sam1("base", 94_000_000),
    _sam1("large", 312_000_000),
    _sam1("huge", 641_000_000),
)


def known_model(name: str) -> CatalogModel | None:
    """Return the model of this id, if it is known."""
    return next((model for model in CATALOG if model.id == name), None)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model that suits a computer, and a sentence that says why."""

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
        return _for_cuda(gpu_bytes)
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


def _for_cuda(gpu_bytes: int) -> Recommendation:
    if gpu_bytes >= SAM3.gpu_bytes:
        return Recommendation(
            SAM3,
            f"Your GPU has {_gigabytes(gpu_bytes)} GB: enough for {SAM3.title}, which looks at an "
            "image in less than a second and understands words.",
        )
    return Recommendation(
        SAM2_BASE,
        f"Your GPU has {_gigabytes(gpu_bytes)} GB, too little for {SAM3.title}: "
        f"{SAM2_BASE.title} fits.",
    )


def wait_hint(name: str, device: str) -> str:
    """Say how long looking at one image takes where that is long, or nothing."""
    model = known_model(name)
    if model is None or device != "cpu" or model.cpu_seconds is None:
        return ""
    if model.cpu_seconds < LONG_SECONDS:
        return ""
    return (
        f"Looking at one image takes about {model.cpu_seconds:.0f} s with this model on this "
        "computer."
    )


LONG_SECONDS = 3
"""A wait of so many seconds is announced."""


def _gigabytes(count: int) -> str:
    return f"{count / GIGABYTE:.0f}"
