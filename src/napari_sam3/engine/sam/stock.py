"""The classes of transformers as they come, asked what the engine asks its models."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import Sam2ImageProcessor, Sam3ImageProcessor

from .concepts import LOWEST_SCORE
from .precision import Precision, calculating
from .stock_models import StockModels


class OneFrame:
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
        self._session.cache = OneFrame()
        for number, mask in enumerate(masks, start=1):
            index = self._session.obj_id_to_idx(number)
            self._session.add_mask_inputs(index, 0, self._enlarged(mask))
        self._session.obj_with_new_inputs = list(self._session.obj_ids)
        self._frame = -1
        self.follow()

    def follow(self) -> None:
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
        return calculating(self._device, self._precision)
