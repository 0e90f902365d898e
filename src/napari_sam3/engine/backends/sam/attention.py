"""Attention in short numbers, on processors where torch calculates it as slowly as in long ones.

There, `scaled_dot_product_attention` of torch multiplies bfloat16 without the instructions that the
processor has for it; products of matrices use them, and take a third of the time
(docs/performance.md). Where a processor multiplies tiles of bfloat16 (AMX), torch uses that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ...devices import processor_capabilities
from .precision import Precision

PRODUCTS = "napari_sam3_products"
"""Name by which transformers knows this way to calculate attention."""
USUAL = "sdpa"
ROWS = 256
"""Queries of a head whose weights are calculated at once: few enough for a processor's cache."""
FEW = 2**22
"""Where all heads together have no more weights, they are calculated at once."""


def attend_quickly(model: PreTrainedModel, device: str, precision: Precision) -> None:
    """Let a model calculate attention by products of matrices where that is faster."""
    is_processor = torch.device(device).type == "cpu"
    if precision == "bfloat16" and is_processor and not processor_capabilities().get("amx_bf16"):
        _choose(model, PRODUCTS)


def attend_as_usual(model: PreTrainedModel) -> None:
    """Let a model calculate attention as transformers does by itself."""
    _choose(model, USUAL)


def _choose(model: PreTrainedModel, way: str) -> None:
    """Name the way in what describes each part of a model, of which some share one."""
    for part in model.modules():
        config: Any = getattr(part, "config", None)
        if getattr(config, "_attn_implementation", None) in (USUAL, PRODUCTS):
            config._attn_implementation = way  # for what the model's own method warns about, too


def attention(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Return the values that queries attend to, in their numbers.

    Parameters
    ----------
    query, key, value : Tensor
        (B, H, Q, C), (B, H, K, C) and (B, H, K, V): what is asked, what is known by what name.
    scaling : float
        What each product of a query and a key is multiplied by.

    Returns
    -------
    Tensor
        (B, H, Q, V); the shares of what is known are rounded before they are summed, as by the
        way of transformers that is called "eager".
    """
    asked, names = query * scaling, key.transpose(-1, -2)
    if asked.shape[:-1].numel() * key.shape[-2] <= FEW:
        return (asked @ names).softmax(-1) @ value
    answer = query.new_empty(*query.shape[:-1], value.shape[-1])
    for rows, some, known, values in _heads(answer, asked, names, value):
        for answered, block in zip(rows.split(ROWS), some.split(ROWS), strict=True):
            torch.mm((block @ known).softmax(-1), values, out=answered)
    return answer


def _heads(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield what belongs to one head of one object, from tensors (B, H, ...)."""
    return zip(*(tensor.flatten(0, 1) for tensor in tensors), strict=True)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Calculate attention as transformers asks for it: the answer is (B, Q, H, V)."""
    limited = attention_mask is not None or _reads_onwards(module, is_causal)
    if limited or not _is_short(query) or options.get("dropout"):
        limits = {"scaling": scaling, "is_causal": is_causal, **options}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **limits)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key, value = (part.to(torch.bfloat16) for part in (query, key, value))
    with torch.autocast("cpu", enabled=False):
        seen = attention(query, key, value, scaling)
    return seen.transpose(1, 2).contiguous(), None


def _reads_onwards(module: nn.Module, is_causal: bool | None) -> bool:
    """Whether nothing may attend to what comes after it."""
    return bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)


def _is_short(query: Tensor) -> bool:
    return query.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")


AttentionInterface.register(PRODUCTS, _attend)
AttentionMaskInterface.register(PRODUCTS, sdpa_mask)
