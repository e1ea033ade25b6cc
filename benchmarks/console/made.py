"""Made trajectories, seeded: the shape and size of what training, evaluation and a teacher write, 10 kB each at the mean."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOOLS = (
    "add", "subtract", "multiply", "divide", "power", "sqrt", "solve_linear", "solve_quadratic", "wikipedia_search",
    "python", "gcd", "factorial",
)  # fmt: skip
ERRORS = ("tool_error", "timeout", "invalid_arguments", "unknown_tool", "memory")
ENDS = ("answered",) * 17 + ("length", "max_turns", "invalid_limit")
_QUESTIONS = 2500
_VOCABULARY = 20_000


class Maker:
    """Draws trajectories; words follow Zipf's law, as those of models do."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = [
            "".join(self._random.choices(letters, k=self._random.randint(2, 10))) for _ in range(_VOCABULARY)
        ]
        weights, total = [], 0.0
        for rank in range(1, _VOCABULARY + 1):
            total += 1 / rank
            weights.append(total)
        self._weights = weights
        # A pool of drawn numbers and texts, sliced at random: drawing each anew would take longer than indexing them.
        self._pool = self._random.choices(self._words, cum_weights=weights, k=200_000)
        self._ids = [self._random.randrange(150_000) for _ in range(100_000)]
        self._logprobs = [round(-self._random.expovariate(3.0), 6) for _ in range(100_000)]

    def text(self, words: int) -> str:
        """So many words."""
        start = self._random.randrange(len(self._pool) - words)
        return " ".join(self._pool[start : start + words])

    def turn(self, last: bool) -> dict[str, Any]:
        """A turn with its tokens; unless it is the last, with a call."""
        draw, tokens = self._random, self._random.randint(40, 160)
        start = draw.randrange(100_000 - tokens)
        turn: dict[str, Any] = {
            "text": self.text(draw.randint(20, 80)), "token_ids": self._ids[start : start + tokens],
            "logprobs": self._logprobs[start : start + tokens], "duration_s": round(draw.uniform(0.2, 4), 3),
        }  # fmt: skip
        if draw.random() < 0.5:
            turn["reasoning"] = self.text(draw.randint(30, 200))
        if not last:
            name, failed = draw.choice(TOOLS), draw.random() < 0.08
            turn["tool_calls"] = [{"name": name, "arguments": {"a": draw.randrange(1000), "b": self.text(3)}}]
            seen: dict[str, Any] = {
                "name": name,
                "content": self.text(draw.randint(2, 150)),
                "duration_ms": draw.uniform(0.5, 80),
            }
            turn["observations"] = [seen | ({"ok": False, "error_type": draw.choice(ERRORS)} if failed else {})]
            turn["observation_ids"] = self._ids[:40]
        return turn

    def trajectory(self, question: int, sample: int, model: str) -> dict[str, Any]:
        """One, with a verdict."""
        draw = self._random
        turns = draw.randint(2, 4)
        return {
            "question_id": f"q{question % _QUESTIONS}", "question": self.text(30),
            "turns": [self.turn(last=n == turns - 1) for n in range(turns)], "termination": draw.choice(ENDS),
            "answer": str(draw.randrange(1000)), "sample": sample, "model": model, "duration_s": draw.uniform(1, 40),
            "metadata": {"correct": draw.random() < 0.6},
        }  # fmt: skip


def write_jobs(folder: Path, count: int, seed: int) -> Iterator[tuple[str, str, Path, int]]:
    """Write about ``count`` trajectories: half of them training's, the rest of evaluations and a teacher.

    Yields kind, artefact, path and number of lines of each job, one after another.
    """
    maker = Maker(seed)
    shares = [("teacher", 0.1), *[("evaluation", 0.2)] * 2, *[("train", 0.25)] * 2]
    for number, (kind, share) in enumerate(shares):
        lines = int(count * share)
        if kind == "teacher":
            path = folder / f"{number}.jsonl"
            _write(path, (maker.trajectory(n // 8, n % 8, "teacher-235b") for n in range(lines)))
            yield kind, "trajectories.jsonl", path, lines
        elif kind == "evaluation":
            root = folder / f"run-{number}"
            cells = [(m, s) for m in ("student", "base") for s in ("aime24", "gsm8k", "math_500")]
            each = lines // len(cells)
            for model, suite in cells:
                made = (maker.trajectory(n // 4, n % 4, model) for n in range(each))
                _write(root / "cells" / model / suite / "tools" / "trajectories.jsonl", made)
            yield kind, "run", root, each * len(cells)
        else:
            root = folder / f"rollouts-{number}"
            steps = max(1, lines // 500)
            each = lines // steps
            for step in range(1, steps + 1):
                made = (maker.trajectory(step * 40 + n // 10, n % 10, "student") for n in range(each))
                _write(root / f"step_{step}.jsonl", map(_rewarded, made))
            yield kind, "rollouts", root, each * steps


def _rewarded(trajectory: dict[str, Any]) -> dict[str, Any]:
    right = float(trajectory["metadata"]["correct"])
    alignment = (len(trajectory["turns"]) % 5) / 4
    total = 0.7 * right + 0.3 * alignment + 0.1
    return {
        "trajectory": trajectory,
        "reward": {"total": total, "correctness": right, "alignment": alignment, "validation": 1.0},
    }


def _write(path: Path, trajectories: Iterator[dict[str, Any]] | map[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for trajectory in trajectories:
            file.write(json.dumps(trajectory, separators=(",", ":")) + "\n")
