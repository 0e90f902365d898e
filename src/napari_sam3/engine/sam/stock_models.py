"""The classes of transformers around weights that are in memory already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import (
    CLIPTokenizer,
    EdgeTamModel,
    EdgeTamVideoInferenceSession,
    EdgeTamVideoModel,
    PreTrainedModel,
    Sam2Model,
    Sam2VideoInferenceSession,
    Sam3TrackerModel,
    Sam3TrackerVideoInferenceSession,
    Sam3VideoModel,
)
from transformers.models.sam3.modeling_sam3 import Sam3VisionModel

from .attention import attend_as_usual

PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
ENCODER = "vision_encoder"


class Remembering(nn.Module):
    """An image encoder that sees one image and says the same ever after.

    The classes of transformers would each encode it again.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self._said: Any = None

    def forward(self, pixel_values: torch.Tensor, **options: Any) -> Any:
        """Encode an image, unless one was encoded before."""
        if self._said is None:
            self._said = self.encoder(pixel_values, **options)
        return self._said

    def forget(self) -> None:
        """Encode the next image."""
        self._said = None


@dataclass(frozen=True, slots=True, eq=False)
class StockModels:
    """What transformers has for one checkpoint."""

    images: Any  # answers clicks
    videos: Any  # follows objects
    session: Callable[..., Any]  # what it remembers
    side: int  # of the square they see, pixels
    trunk: Remembering | None = None
    detector: Any = None  # reads concepts
    tokenizer: CLIPTokenizer | None = None

    def forget(self) -> None:
        """Encode the next image, even if it is the same one."""
        if self.trunk is not None:
            self.trunk.forget()


def stock_models(model: Any, tokenizer: CLIPTokenizer | None) -> StockModels:
    """Build the classes around a model that also follows objects.

    The image encoder of a Sam3VideoModel is wrapped in place, and every model attends as usual.
    """
    attend_as_usual(model)
    if isinstance(model, Sam3VideoModel):
        return _sam3(model, tokenizer)
    session: Any = Sam2VideoInferenceSession
    kind: Any = Sam2Model
    if isinstance(model, EdgeTamVideoModel):
        session, kind = EdgeTamVideoInferenceSession, EdgeTamModel
    images = _for_images(kind, model, model.vision_encoder)
    return StockModels(images, model, session, model.config.image_size)


def _sam3(model: Any, tokenizer: CLIPTokenizer | None) -> StockModels:
    detector, tracker = model.detector_model, model.tracker_model
    trunk = Remembering(detector.vision_encoder.backbone)
    detector.vision_encoder.backbone = trunk
    with torch.device("meta"):
        seeing: Any = Sam3VisionModel(tracker.config.vision_config)
    seeing.backbone, seeing.neck = trunk, model.tracker_neck
    tracker.vision_encoder = seeing.eval()
    return StockModels(
        images=_for_images(Sam3TrackerModel, tracker, seeing),
        videos=tracker,
        session=Sam3TrackerVideoInferenceSession,
        side=tracker.config.image_size,
        trunk=trunk,
        detector=detector,
        tokenizer=tokenizer,
    )


def _for_images(kind: Any, videos: PreTrainedModel, encoder: nn.Module) -> Any:
    """Build the class for single images around the weights of the one for videos."""
    config = {name: getattr(videos.config, name).to_dict() for name in PARTS}
    with torch.device("meta"):  # which takes no memory
        images = kind(kind.config_class(**config))
    images.vision_encoder = encoder
    weights = {
        name: value for name, value in videos.state_dict().items() if not name.startswith(ENCODER)
    }
    images.load_state_dict(weights, strict=False, assign=True)
    return images.eval()
