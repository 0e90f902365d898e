"""Attention in bfloat16 by matrix products, on processors where torch's own is not faster for it.

There, `scaled_dot_product_attention` of torch multiplies bfloat16 without the instructions that the
processor has for it; matrix products use them, and take a third of the time
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

from ...devices import Precision, processor_capabilities

MATMUL = "napari_sam3_products"
"""Name under which this implementation is registered in transformers."""
SDPA = "sdpa"
"""Name of the implementation that transformers uses by itself."""
QUERY_BLOCK = 256
"""Queries of a head whose weights are computed at once: few enough for a processor's cache."""
SMALL_ATTENTION = 2**22
"""Where all heads together have no more weights, they are computed at once."""


def use_fastest_attention(model: PreTrainedModel, device: str, precision: Precision) -> None:
    """Let a model compute attention by matrix products where that is faster."""
    is_processor = torch.device(device).type == "cpu"
    if precision == "bfloat16" and is_processor and not processor_capabilities().get("amx_bf16"):
        _set_implementation(model, MATMUL)


def use_sdpa_attention(model: PreTrainedModel) -> None:
    """Let a model compute attention as transformers does by itself."""
    _set_implementation(model, SDPA)


def _set_implementation(model: PreTrainedModel, implementation: str) -> None:
    """Set the implementation in the configuration of each module; some modules share one."""
    for module in model.modules():
        config: Any = getattr(module, "config", None)
        if getattr(config, "_attn_implementation", None) in (SDPA, MATMUL):
            config._attn_implementation = implementation  # also where transformers only warns


def matmul_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Compute attention in the dtype of its inputs.

    Parameters
    ----------
    query, key, value : Tensor
        (B, H, Q, C), (B, H, K, C) and (B, H, K, V).
    scaling : float
        What each product of a query and a key is multiplied by.

    Returns
    -------
    Tensor
        (B, H, Q, V); the weights are rounded before they are summed, as by the implementation of
        transformers that is called "eager".
    """
    scaled, transposed = query * scaling, key.transpose(-1, -2)
    if scaled.shape[:-1].numel() * key.shape[-2] <= SMALL_ATTENTION:
        return (scaled @ transposed).softmax(-1) @ value
    output = query.new_empty(*query.shape[:-1], value.shape[-1])
    for head_output, queries, keys, values in _heads(output, scaled, transposed, value):
        blocks = zip(head_output.split(QUERY_BLOCK), queries.split(QUERY_BLOCK), strict=True)
        for block_output, block in blocks:
            torch.mm((block @ keys).softmax(-1), values, out=block_output)
    return output


def _heads(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield what belongs to one head of one object, from tensors (B, H, ...)."""
    return zip(*(tensor.flatten(0, 1) for tensor in tensors), strict=True)


def _attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Compute attention for a module of transformers; the output is (B, Q, H, V)."""
    is_masked = attention_mask is not None or _is_causal(module, is_causal)
    if is_masked or not _is_bfloat16(query) or options.get("dropout"):
        options |= {"scaling": scaling, "is_causal": is_causal}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key, value = (tensor.to(torch.bfloat16) for tensor in (query, key, value))
    with torch.autocast("cpu", enabled=False):
        output = matmul_attention(query, key, value, scaling)
    return output.transpose(1, 2).contiguous(), None


def _is_causal(module: nn.Module, is_causal: bool | None) -> bool:
    """Whether no query may attend to later keys."""
    return bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)


def _is_bfloat16(query: Tensor) -> bool:
    return query.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")


AttentionInterface.register(MATMUL, _attention_forward)
AttentionMaskInterface.register(MATMUL, sdpa_mask)
