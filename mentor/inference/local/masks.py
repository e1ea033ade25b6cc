"""Who sees whom: attention masks over slots, for models with full and with sliding attention."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from mentor.errors import UserError

FULL, _SLIDING = "full_attention", "sliding_attention"


def attention_of(config: PreTrainedConfig) -> tuple[set[str], int | None]:
    """The kinds of a model's layers, by transformers' names, and the window of its sliding ones."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None) if getattr(text, "use_sliding_window", True) else None
    return set(getattr(text, "layer_types", None) or [_SLIDING if window else FULL]), window


class Masks:
    """Masks for a model's layers.

    Raises:
        UserError: a kind of layer that the engine does not know.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._kinds, self._window = attention_of(model.config)
        self._added = model.config._attn_implementation == "eager"
        self._dtype = model.dtype
        if unknown := self._kinds - {FULL, _SLIDING}:
            raise UserError(f"the local engine has no {min(unknown)}", field="model", allowed=f"{FULL}, {_SLIDING}")

    def of(self, position: Tensor, length: int) -> Tensor | dict[str, Tensor]:
        """For queries at ``position`` [rows, query] over keys in columns before ``length``: [rows, 1, query, length].

        One for all layers, or one by kind where a model has both.
        """
        distance = position[:, None, :, None] - torch.arange(length, device=position.device)
        masks = {FULL: distance >= 0}
        if self._window is not None:
            masks[_SLIDING] = masks[FULL] & (distance < self._window)
        chosen = {kind: self._form(masks[kind]) for kind in self._kinds}
        return chosen if len(chosen) > 1 else next(iter(chosen.values()))

    def _form(self, seen: Tensor) -> Tensor:
        """As the attention wants it: what is seen, or what is added to its scores."""
        if not self._added:
            return seen
        return torch.zeros(seen.shape, dtype=self._dtype, device=seen.device).masked_fill_(
            ~seen, torch.finfo(self._dtype).min
        )
