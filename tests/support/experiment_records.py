"""Records of a grid whose truth is known: accuracies, tools and effects are given, seeds and questions scatter around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mentor.experiment.records import Draw, EvaluatedQuestion, RunId, RunRecord
from mentor.experiment.spec import BASELINE, TEACHER, ExperimentSpec

Rng = np.random.Generator
SETS = {"in_one": "in_domain", "in_two": "in_domain", "out_one": "out_of_domain"}


@dataclass(frozen=True)
class Truth:
    """Of a method: ``level`` is the probit of accuracy, ``by_seed`` how much it varies with the seed. ``tools`` are shares."""

    level: float = 0.0
    by_seed: float = 0.1
    calls: float = 1.5
    invalid: float = 0.05
    tokens: float = 60.0
    tools: Mapping[str, float] = field(default_factory=lambda: {"add": 0.5, "solve": 0.3, "search": 0.2})
    trained: bool = True


def questions(per_set: int, sets: Mapping[str, str] = SETS) -> tuple[EvaluatedQuestion, ...]:
    """So many of every set."""
    return tuple(EvaluatedQuestion(id=f"{s}-{n}", set=s, group=g) for s, g in sets.items() for n in range(per_set))


def record(
    run: RunId, asked: Sequence[EvaluatedQuestion], truth: Truth, hardness: np.ndarray, rng: Rng, samples: int = 4,
    steps: int = 0, greedy: bool = True, lost: float = 0.0,
) -> RunRecord:  # fmt: skip
    """One run. ``hardness``: of each question, shape (questions,), the same for every run."""
    from scipy.special import ndtr

    chances = ndtr(truth.level + truth.by_seed * rng.normal() - hardness)
    draws = {"sampled": _draws(asked, chances, truth, rng, samples, lost)}
    if greedy:
        draws["greedy"] = _draws(asked, np.clip(chances * 1.15, 0, 1), truth, rng, 1, lost)
    return RunRecord(
        key=run.label, run=run, made_of={"code": "0123abcd"}, questions=tuple(asked), evaluations=draws,
        steps=_steps(truth, steps, rng) if truth.trained else (), seconds={"train": 100.0},
        tokens={"training": 5e5, "teacher": 1e5} if truth.trained else {},
    )  # fmt: skip


def _draws(
    asked: Sequence[EvaluatedQuestion], chances: np.ndarray, truth: Truth, rng: Rng, samples: int, lost: float
) -> tuple[Draw, ...]:
    shape = (len(asked), samples)
    right, calls = rng.random(shape) < chances[:, None], rng.poisson(truth.calls, shape)
    tokens, gone, wrong = (
        rng.gamma(4, truth.tokens / 4, shape).round(),
        rng.random(shape) < lost,
        rng.integers(0, 3, shape),
    )
    fine = (rng.random(calls.sum()) >= truth.invalid).tolist()
    names, ends = list(truth.tools), np.cumsum(list(truth.tools.values()))
    picked = [names[i] for i in np.searchsorted(ends, ends[-1] * rng.random(calls.sum()))]
    found, at = [], 0
    for place in np.ndindex(shape):
        until = at + int(calls[place])
        ok = tuple(fine[at:until])
        found.append(
            Draw.model_construct(
                question=asked[place[0]].id, sample=place[1], correct=bool(right[place]), lost=bool(gone[place]),
                answer="42" if right[place] else str(wrong[place]), calls=tuple(picked[at:until]), ok=ok,
                errors=("bad_arguments",) * (len(ok) - sum(ok)), tokens=float(tokens[place]),
                end="infrastructure" if gone[place] else "answered",
            )
        )  # fmt: skip
        at = until
    return tuple(found)


def _steps(truth: Truth, number: int, rng: Rng) -> tuple[dict[str, float], ...]:
    done = np.linspace(0, 1, max(1, number))
    grown = 0.3 + 0.4 * (1 - np.exp(-4 * done)) * (1 + truth.level)
    return tuple(
        {
            "step": float(n + 1), "reward": float(2 * grown[n] + rng.normal(0, 0.1)),
            "correctness": float(np.clip(grown[n] + rng.normal(0, 0.08), 0, 1)),
            "validation": float(np.clip(0.6 + 0.3 * done[n] + rng.normal(0, 0.05), 0, 1)),
            "invalid_rate": float(np.clip(0.3 * np.exp(-5 * done[n]) + truth.invalid + rng.normal(0, 0.02), 0, 1)),
            "entropy": float(0.9 * np.exp(-2 * done[n]) + 0.1), "samples": 16.0,
            "response_tokens": float(truth.tokens * (1 + rng.normal(0, 0.05))),
        }
        for n in range(number)
    )  # fmt: skip


def spec(methods: Mapping[str, Truth], claims: Sequence[Mapping[str, Any]] = (), **fields: Any) -> ExperimentSpec:
    """A grid file over one world ``w`` and one student ``s``, unless ``fields`` say otherwise."""
    evaluation = {name: {"file": f"{name}.jsonl", "group": group} for name, group in SETS.items()}
    named = {
        name: {"train": {} if truth.trained else None}
        for name, truth in methods.items()
        if name not in (BASELINE, TEACHER)
    }
    plain: dict[str, Any] = {
        "name": "grid", "worlds": {"w": {"folder": ".", "evaluation": evaluation}}, "students": {"s": {"path": "student"}},
        "methods": named, "grid": [{"methods": list(methods), "seeds": [0, 1, 2, 3, 4]}], "claims": list(claims),
    }  # fmt: skip
    return ExperimentSpec.model_validate(plain | fields)


def grid(
    methods: Mapping[str, Truth], *, seeds: int = 5, per_set: int = 40, world: str = "w", student: str = "s",
    spread: float = 0.8, seed: int = 0, **fields: Any,
) -> list[RunRecord]:  # fmt: skip
    """Records of all methods with seeds 0, 1, ... on the same questions; the teacher's is one run."""
    rng = np.random.default_rng(seed)
    asked = questions(per_set)
    hardness = spread * rng.normal(size=len(asked))
    return [
        record(
            RunId(world=world, student=TEACHER if method == TEACHER else student, method=method, seed=number),
            asked, truth, hardness, rng, **fields,
        )
        for method, truth in methods.items()
        for number in range(1 if method == TEACHER else seeds)
    ]  # fmt: skip
