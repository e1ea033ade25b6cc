"""How each family of encoders wants its text and makes its vectors.

Sources: the models' cards, and FlashRAG's ``pooling_method`` and ``instruction`` defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pooling = Literal["mean", "cls", "last", "pooler"]


@dataclass(frozen=True)
class Family:
    """``pooling`` None leaves it to the model's folder (``1_Pooling``), else the mean."""

    query_prefix: str = ""
    passage_prefix: str = ""
    pooling: Pooling | None = None
    normalize: bool = True


FAMILIES = {
    "e5": Family("query: ", "passage: ", "mean"),
    "bge": Family("Represent this sentence for searching relevant passages: ", "", "cls"),
    "contriever": Family(pooling="mean", normalize=False),
    "dpr": Family(pooling="pooler", normalize=False),
}


def family_of(method: str) -> Family:
    """By the method's name (``e5``, ``bge-base-en``); anything else is a plain sentence encoder."""
    return next((family for name, family in FAMILIES.items() if name in method.lower()), Family())
