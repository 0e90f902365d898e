"""The stock classes of transformers, timed as the engine's models are."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    CLIPTokenizer,
    EdgeTamModel,
    EdgeTamVideoConfig,
    EdgeTamVideoInferenceSession,
    EdgeTamVideoModel,
    PreTrainedModel,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2VideoConfig,
    Sam2VideoInferenceSession,
    Sam2VideoModel,
    Sam3ImageProcessor,
    Sam3TrackerModel,
    Sam3TrackerVideoInferenceSession,
    Sam3VideoConfig,
    Sam3VideoModel,
)
from transformers.models.sam3.modeling_sam3 import Sam3VisionModel

from ..engine.backends.sam.attention import use_sdpa_attention
from ..engine.backends.sam.concepts import LOWEST_SCORE
from ..engine.backends.sam.precision import autocast
from ..engine.devices import Precision
from ..values import ModelError

CONFIGS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
ENCODER = "vision_encoder"
START = "<|startoftext|>"
END = "<|endoftext|>"
MAX_TOKENS = 32  # tokens of a text
PRESENCE_BIAS = 3.0
"""Bias of the presence logit, with which objects are there, so that they are propagated."""


@dataclass(frozen=True, slots=True, eq=False)
class StockModels:
    """The classes of transformers around the weights of a checkpoint."""

    image_model: Any  # for clicks
    video_model: Any  # for propagation
    session_class: Callable[..., Any]  # holds the memory of the video model
    side: int  # of the square input, pixels
    backbone: CachedEncoder | None = None
    detector: Any = None  # for concepts
    tokenizer: CLIPTokenizer | None = None

    def clear_cache(self) -> None:
        """Encode the next image, even if it is the same."""
        if self.backbone is not None:
            self.backbone.clear_cache()


def stock_models(model: Any, tokenizer: CLIPTokenizer | None) -> StockModels:
    """Build the classes around a video model.

    The image encoder of a Sam3VideoModel is wrapped, and attention is that of torch.
    """
    use_sdpa_attention(model)
    if isinstance(model, Sam3VideoModel):
        return _sam3(model, tokenizer)
    session_class: Any = Sam2VideoInferenceSession
    kind: Any = Sam2Model
    if isinstance(model, EdgeTamVideoModel):
        session_class, kind = EdgeTamVideoInferenceSession, EdgeTamModel
    image_model = _for_images(kind, model, model.vision_encoder)
    return StockModels(image_model, model, session_class, model.config.image_size)


class StockTrial:
    """Steps of the stock classes; masks are resized to the image as transformers does.

    Parameters
    ----------
    models : StockModels
        The classes.
    image : (H, W, 3) array of float32
        In 0..1.
    device, precision
        Where and in which dtype they calculate.
    """

    def __init__(
        self, models: StockModels, image: NDArray[np.float32], device: str, precision: Precision
    ) -> None:
        self.reads_text = models.detector is not None
        self._models = models
        self._image = image
        self._shape = image.shape[:2]
        self._device = device
        self._precision = precision
        self._detector_features: Any = None  # of the image

    def encode(self) -> None:
        """Encode the image; all further steps need it."""
        self._models.clear_cache()
        self._detector_features = None
        with torch.inference_mode(), self._autocast():
            channels = torch.from_numpy(self._image).permute(2, 0, 1)[None].to(self._device)
            side = self._models.side
            self._pixels = 2 * F.interpolate(channels, (side, side), mode="bilinear") - 1
            self._embeddings = self._models.image_model.get_image_embeddings(self._pixels)
        if self._device.startswith("cuda"):
            torch.cuda.synchronize(self._device)

    def click(self, point: Sequence[float]) -> None:
        """Segment the object at a point, (row, col) in pixels of the image."""
        row, col = (np.add(point, 0.5) / self._shape).tolist()
        coordinates = torch.tensor([[[[col, row]]]], device=self._device) * self._models.side
        with torch.inference_mode(), self._autocast():
            output = self._models.image_model(
                image_embeddings=self._embeddings,
                input_points=coordinates,
                input_labels=torch.ones(1, 1, 1, dtype=torch.int32, device=self._device),
                multimask_output=True,
            )
            self._resize_masks(output.pred_masks[0])

    def detect(self, text: str) -> None:
        """Detect all objects that a text describes."""
        detector = self._models.detector
        tokens = self._tokens(text)
        with torch.inference_mode(), self._autocast():
            if self._detector_features is None:
                self._detector_features = detector.get_vision_features(self._pixels)
            output = detector(
                vision_embeds=self._detector_features,
                text_embeds=detector.get_text_features(**tokens),
                attention_mask=tokens["attention_mask"],
            )
            instances = Sam3ImageProcessor().post_process_instance_segmentation(
                output, LOWEST_SCORE, target_sizes=[self._shape]
            )
            instances[0]["masks"].cpu()

    def start_propagation(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Start to propagate objects with these masks, (H, W) each."""
        self._session = self._models.session_class(
            video_height=self._shape[0],
            video_width=self._shape[1],
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=torch.float32,
        )
        self._session.cache = SingleFrameCache()
        for number, mask in enumerate(masks, start=1):
            index = self._session.obj_id_to_idx(number)
            self._session.add_mask_inputs(index, 0, self._as_input(mask))
        self._session.obj_with_new_inputs = list(self._session.obj_ids)
        self._frame = -1
        self.propagate()

    def propagate(self) -> None:
        """Propagate to the next frame, which is encoded already, and update the memory."""
        self._frame += 1
        self._session.add_new_frame(self._pixels, self._frame)
        with torch.inference_mode(), self._autocast():
            output = self._models.video_model(self._session, frame_idx=self._frame)
            self._resize_masks(output.pred_masks)

    def _resize_masks(self, masks: Tensor) -> None:
        """Turn logits (N, K, h, w) into masks of the size of the image."""
        processor: Any = Sam2ImageProcessor()
        processor.post_process_masks([masks], [self._shape])[0].cpu()

    def _tokens(self, text: str) -> Any:
        tokenizer: Any = self._models.tokenizer
        length = self._models.detector.config.text_config.max_position_embeddings
        tokens = tokenizer(text, return_tensors="pt", padding="max_length", max_length=length)
        return tokens.to(self._device)

    def _as_input(self, mask: NDArray[np.bool_]) -> Tensor:
        pixels = torch.from_numpy(mask)[None, None].float()
        return F.interpolate(pixels, (self._models.side, self._models.side))

    def _autocast(self) -> AbstractContextManager[Any]:
        return autocast(self._device, self._precision)


def random_model(name: str) -> PreTrainedModel:
    """Build a model of full size with the same random weights in every run.

    Raises
    ------
    ModelError
        If it is not known how large this model is.
    """
    build = FULL_SIZE.get(name)
    if build is None:
        raise ModelError(
            f"There are no random weights for {name}: choose {', '.join(FULL_SIZE)}, or leave out "
            "--random-weights."
        )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = build().requires_grad_(False)
        model.train(False)
        for weights_name, weights in model.named_parameters():
            if weights_name.endswith("pred_obj_score_head.proj_out.bias"):
                weights.fill_(PRESENCE_BIAS)
    return model


def letter_tokenizer() -> CLIPTokenizer:
    """Return a tokenizer that spells words, which is enough for random weights."""
    letters = [*string.ascii_lowercase, *string.digits]
    words = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    vocab = {text: number for number, text in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=MAX_TOKENS, pad_token=END)


class CachedEncoder(nn.Module):
    """An image encoder that keeps its first output, for classes that would each encode again."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self._output: Any = None

    def forward(self, pixel_values: torch.Tensor, **options: Any) -> Any:
        """Encode an image, or return the output that is kept."""
        if self._output is None:
            self._output = self.encoder(pixel_values, **options)
        return self._output

    def clear_cache(self) -> None:
        """Encode the next image."""
        self._output = None


class SingleFrameCache:
    """A cache with the features of a single frame, which it returns for every frame."""

    def __init__(self) -> None:
        self._features: dict[str, Sequence[Any]] | None = None

    def get_vision_features(self, _frame: int) -> dict[str, list[Any]] | None:
        """Return the features, or None before the first frame."""
        if self._features is None:
            return None
        return {name: list(levels) for name, levels in self._features.items()}

    def cache_vision_features(self, _frame: int, features: dict[str, Sequence[Any]]) -> None:
        """Keep the features."""
        self._features = features


def _sam3(model: Any, tokenizer: CLIPTokenizer | None) -> StockModels:
    detector, tracker = model.detector_model, model.tracker_model
    backbone = CachedEncoder(detector.vision_encoder.backbone)
    detector.vision_encoder.backbone = backbone
    with torch.device("meta"):
        vision_encoder: Any = Sam3VisionModel(tracker.config.vision_config)
    vision_encoder.backbone, vision_encoder.neck = backbone, model.tracker_neck
    tracker.vision_encoder = vision_encoder.eval()
    return StockModels(
        image_model=_for_images(Sam3TrackerModel, tracker, vision_encoder),
        video_model=tracker,
        session_class=Sam3TrackerVideoInferenceSession,
        side=tracker.config.image_size,
        backbone=backbone,
        detector=detector,
        tokenizer=tokenizer,
    )


def _for_images(kind: Any, video_model: PreTrainedModel, encoder: nn.Module) -> Any:
    """Build the image class around the weights of the video class."""
    config = {name: getattr(video_model.config, name).to_dict() for name in CONFIGS}
    with torch.device("meta"):  # takes no memory
        image_model = kind(kind.config_class(**config))
    image_model.vision_encoder = encoder
    weights = {
        name: value
        for name, value in video_model.state_dict().items()
        if not name.startswith(ENCODER)
    }
    image_model.load_state_dict(weights, strict=False, assign=True)
    return image_model.eval()


def _full_size_sam3() -> PreTrainedModel:
    return Sam3VideoModel(Sam3VideoConfig())


def _sam2_tiny() -> PreTrainedModel:
    return Sam2VideoModel(Sam2VideoConfig())


def _edgetam() -> PreTrainedModel:
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        "num_classes": 1000,
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    }
    vision = {"model_type": "edgetam_vision_model", "backbone_config": backbone}
    return EdgeTamVideoModel(EdgeTamVideoConfig(vision_config=vision))


FULL_SIZE: dict[str, Callable[[], PreTrainedModel]] = {
    "facebook/sam3": _full_size_sam3,
    "facebook/sam2.1-hiera-tiny": _sam2_tiny,
    "yonigozlan/EdgeTAM-hf": _edgetam,
}
"""What builds a model of random weights, by the name of the real model."""
