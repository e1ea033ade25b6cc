"""Token states to one vector per text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from mentor_retriever.encoders.base import Vectors
from mentor_retriever.encoders.families import Pooling
from mentor_retriever.encoders.texts import Tokens

_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}


def pool(states: NDArray[np.float32], mask: Tokens, how: Pooling) -> Vectors:
    """``states`` [texts, tokens, dimension] to [texts, dimension]. ``pooler`` is the first token here: DPR's pooler."""
    if how in ("cls", "pooler"):
        first: Vectors = states[:, 0]
        return first
    if how == "last":
        last: Vectors = states[np.arange(len(states)), mask.sum(axis=1) - 1]
        return last
    weights = mask[..., None].astype(np.float32)
    summed: Vectors = (states * weights).sum(axis=1) / weights.sum(axis=1)
    return summed


def unit(vectors: Vectors) -> Vectors:
    """Rows of length 1."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(length, 1e-12)
    return scaled


def declared_pooling(folder: Path) -> Pooling | None:
    """What the folder's ``1_Pooling/config.json`` (sentence-transformers) says; None if it says nothing that is known here."""
    try:
        config = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    mode = config.get("pooling_mode")
    named = [mode] if isinstance(mode, str) else [name for key, name in _MODES.items() if config.get(key)]
    known = {"lasttoken": "last"}.get(named[0], named[0]) if len(named) == 1 else None
    return next((how for how in get_args(Pooling) if how == known), None)
