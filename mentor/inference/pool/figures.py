"""What is known of a pool's endpoints: counters for dashboards, totals for summaries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mentor.inference.base import ChatCompletion, Generation


@dataclass
class Figures:
    """Totals of one endpoint since they were last taken.

    Attributes:
        outcomes: attempts by how they ended: ``ok``, ``refused``, ``overloaded`` or ``failed``.
        faults: what the endpoint did wrong, by its name in ``mentor.inference.faults``.
        seconds: of attempts that were answered.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    opened: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    prompt_tokens: int = 0
    generated_tokens: int = 0


def tokens_of(body: dict[str, Any], answer: object) -> tuple[int, int | None]:
    """Prompt and generated tokens of an answer, as far as they are known: 0 and None where not."""
    if isinstance(answer, Generation):
        return len(body.get("prompt", ())), len(answer.token_ids)
    if isinstance(answer, ChatCompletion):
        return answer.prompt_tokens or 0, answer.completion_tokens
    return 0, None
