"""The labelled pairs."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from mentor.trajectory import Frozen

FOLDER = Path(__file__).parent
PARAPHRASE = "paraphrase"
"""Class of pairs that only a reader can tell: shown apart, because no comparison of strings is meant to."""


class Pair(Frozen):
    """``form``: ``answer`` alone, or a whole ``response``. ``group``: which clean-up it asks for."""

    id: str
    kind: str
    form: str
    group: str = Field(alias="class")
    language: str
    text: str
    gold: list[str]
    right: bool


def labelled(kind: str) -> list[Pair]:
    """All pairs of ``math`` or ``qa``."""
    lines = (FOLDER / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Pair.model_validate(json.loads(line)) for line in lines]
