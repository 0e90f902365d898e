"""The classes of transformers as they come, asked what the engine asks its models."""

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

PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
ENCODER = "vision_encoder"


class MemoryEncoder(nn.Module):
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
    trunk: MemoryEncoder | None = None
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
    use_sdpa_attention(model)
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
    trunk = MemoryEncoder(detector.vision_encoder.backbone)
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


class SingleFrame:
    """A cache that knows one frame and takes every other one for it: none is encoded again."""

    def __init__(self) -> None:
        self._features: dict[str, Sequence[Any]] | None = None

    def get_vision_features(self, _frame: int) -> dict[str, list[Any]] | None:
        """Return what is known."""
        if self._features is None:
            return None
        return {name: list(levels) for name, levels in self._features.items()}

    def cache_vision_features(self, _frame: int, features: dict[str, Sequence[Any]]) -> None:
        """Keep what is known."""
        self._features = features


class StockTrial:
    """Asks the classes of transformers, and draws their masks on the image as transformers does.

    Parameters
    ----------
    models : StockModels
        What is asked.
    image : (H, W, 3) array of float32
        In 0..1.
    device, precision
        Where and in which numbers they calculate.
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
        self._seen: Any = None  # what the detector sees of the image

    def encode(self) -> None:
        """Embed the image; all other steps come later."""
        self._models.forget()
        self._seen = None
        with torch.inference_mode(), self._calculating():
            channels = torch.from_numpy(self._image).permute(2, 0, 1)[None].to(self._device)
            side = self._models.side
            self._pixels = 2 * F.interpolate(channels, (side, side), mode="bilinear") - 1
            self._maps = self._models.images.get_image_embeddings(self._pixels)
        if self._device.startswith("cuda"):
            torch.cuda.synchronize(self._device)

    def click(self, point: Sequence[float]) -> None:
        """Outline what lies at a point, (row, col) in pixels of the image."""
        row, col = (np.add(point, 0.5) / self._shape).tolist()
        place = torch.tensor([[[[col, row]]]], device=self._device) * self._models.side
        with torch.inference_mode(), self._calculating():
            answer = self._models.images(
                image_embeddings=self._maps,
                input_points=place,
                input_labels=torch.ones(1, 1, 1, dtype=torch.int32, device=self._device),
                multimask_output=True,
            )
            self._draw(answer.pred_masks[0])

    def find(self, word: str) -> None:
        """Find all objects that a word describes."""
        detector = self._models.detector
        said = self._said(word)
        with torch.inference_mode(), self._calculating():
            if self._seen is None:
                self._seen = detector.get_vision_features(self._pixels)
            answer = detector(
                vision_embeds=self._seen,
                text_embeds=detector.get_text_features(**said),
                attention_mask=said["attention_mask"],
            )
            found = Sam3ImageProcessor().post_process_instance_segmentation(
                answer, LOWEST_SCORE, target_sizes=[self._shape]
            )
            found[0]["masks"].cpu()

    def start(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Begin to follow objects with these masks, (H, W) each."""
        self._session = self._models.session(
            video_height=self._shape[0],
            video_width=self._shape[1],
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=torch.float32,
        )
        self._session.cache = SingleFrame()
        for number, mask in enumerate(masks, start=1):
            index = self._session.obj_id_to_idx(number)
            self._session.add_mask_inputs(index, 0, self._enlarged(mask))
        self._session.obj_with_new_inputs = list(self._session.obj_ids)
        self._frame = -1
        self.propagate()

    def propagate(self) -> None:
        """Find them on the next frame, which is embedded already, and remember what is seen."""
        self._frame += 1
        self._session.add_new_frame(self._pixels, self._frame)
        with torch.inference_mode(), self._calculating():
            self._draw(self._models.videos(self._session, frame_idx=self._frame).pred_masks)

    def _draw(self, masks: Tensor) -> None:
        """Draw logits (N, K, h, w) on the image."""
        processor: Any = Sam2ImageProcessor()
        processor.post_process_masks([masks], [self._shape])[0].cpu()

    def _said(self, word: str) -> Any:
        tokenizer: Any = self._models.tokenizer
        length = self._models.detector.config.text_config.max_position_embeddings
        return tokenizer(word, return_tensors="pt", padding="max_length", max_length=length).to(
            self._device
        )

    def _enlarged(self, mask: NDArray[np.bool_]) -> Tensor:
        drawn = torch.from_numpy(mask)[None, None].float()
        return F.interpolate(drawn, (self._models.side, self._models.side))

    def _calculating(self) -> AbstractContextManager[Any]:
        return autocast(self._device, self._precision)


START, END = "<|startoftext|>", "<|endoftext|>"
LONGEST = 32  # tokens of a text
SURE = 3.0
"""How sure the models are that an object is there, so that it is followed."""


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
                weights.fill_(SURE)
    return model


def letter_tokenizer() -> CLIPTokenizer:
    """Return a tokenizer that spells words: random weights do not mind."""
    letters = [*string.ascii_lowercase, *string.digits]
    words = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=LONGEST, pad_token=END)


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
"""What builds a model, by the name of the real one."""
