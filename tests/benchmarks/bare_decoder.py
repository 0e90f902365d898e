"""The decoder of any model by itself, on the tensors that a click has prepared for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

DECODER = "Decoder"
"""How the names of the classes end that turn prompts into masks, in every model compared here."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One pass through a decoder."""

    decoder: nn.Module
    inputs: tuple[Any, ...]
    named: dict[str, Any]
    short: torch.dtype | None  # the numbers it was calculated in, where those are shortened

    def repeat(self) -> None:
        """Pass through the decoder once more."""
        device = next(self.decoder.parameters()).device
        is_short = self.short is not None
        with torch.inference_mode(), torch.autocast(device.type, self.short, is_short):
            self.decoder(*self.inputs, **self.named)
        if device.type == "cuda":
            torch.cuda.synchronize(device)


class Rehearsal:
    """Notes every pass through some decoders meanwhile, and repeats them; use it in a ``with``."""

    def __init__(self, decoders: Iterable[nn.Module]) -> None:
        self.calls: list[Call] = []
        self._decoders = list(decoders)
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        for decoder in self._decoders:
            self._hooks.append(decoder.register_forward_pre_hook(self._note, with_kwargs=True))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def repeat(self) -> None:
        """Pass through the decoders once more, as often as before."""
        for call in self.calls:
            call.repeat()

    def _note(self, decoder: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        kind = next(decoder.parameters()).device.type
        short = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        self.calls.append(Call(decoder, inputs, named, short))


def decoders_in(step: Callable[[], None]) -> set[nn.Module]:
    """Take a step and return the decoders that took part in it."""
    found: set[nn.Module] = set()

    def note(module: nn.Module, _inputs: Any) -> None:
        if type(module).__name__.endswith(DECODER):
            found.add(module)

    hook = register_module_forward_pre_hook(note)
    step()
    hook.remove()
    return found
