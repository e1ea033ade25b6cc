"""What the benchmark asks the console: every filter by itself, the hard combinations, and pages far down."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

FILTERS: dict[str, Mapping[str, str]] = {
    "nothing": {},
    "kind": {"kind": "train"},
    "model": {"model": "base"},
    "suite": {"suite": "gsm8k"},
    "question": {"question": "q77"},
    "tool": {"tool": "python"},
    "error kind": {"error": "memory"},
    "termination": {"termination": "invalid_limit"},
    "right or wrong": {"correct": "wrong"},
    "reward range": {"reward_from": "0.3", "reward_to": "0.5"},
    "reward that none has": {"reward_from": "5"},
    "one step": {"step": "7"},
    "range of steps": {"step_from": "10", "step_to": "20"},
    "tag that none has": {"tag": "nobody"},
    "common word": {"text": "COMMON"},
    "three common words": {"text": "COMMON"},
    "rare word": {"text": "RARE"},
    "beginning of a word": {"text": "ab*"},
    "word that none has": {"text": "qqqqqqqqqqqqqq"},
    "common word, tool and error": {"text": "COMMON", "tool": "gcd", "error": "timeout"},
    "common word, reward that none has": {"text": "COMMON", "reward_from": "5"},
    "all at once": {
        "text": "COMMON", "kind": "train", "model": "student", "tool": "add", "error": "tool_error", "correct": "wrong",
        "termination": "length", "reward_from": "0.1", "step_from": "2",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """Milliseconds of every round, and how many rows came."""

    name: str
    milliseconds: tuple[float, ...]
    rows: int

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.milliseconds)


def ask(client: httpx.Client, rounds: int, common: list[str], rare: str) -> list[Answer]:
    """The first page of every filter, all of them in turn, so many times; then a page far down."""
    taken: dict[str, list[float]] = {name: [] for name in FILTERS}
    rows: dict[str, int] = {}
    for _ in range(rounds):
        for name, given in FILTERS.items():
            words = " ".join(common[:3]) if name.startswith("three") else common[0]
            fields = {k: v.replace("COMMON", words).replace("RARE", rare) for k, v in given.items()}
            begun = time.perf_counter()
            page = client.get("/trajectories", params=fields)
            taken[name].append(1000 * (time.perf_counter() - begun))
            page.raise_for_status()
            rows[name] = len(re.findall(r'<td class="title">', page.text))
    return [Answer(name, tuple(values), rows[name]) for name, values in taken.items()]
