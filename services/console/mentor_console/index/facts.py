"""What the index knows of a trajectory: facts for columns, facets and words for the full-text table.

Read from plain JSON, not from models: an index of 200,000 trajectories has to be quick, and a line that no model accepts
is still to be found and looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

MARK = "\ue000"
"""Private use, and a letter to the tokenizer: what begins with it is a facet, and no text can write one (it is taken out)."""
FACETS = {
    "job": "j", "kind": "k", "model": "m", "suite": "s", "arm": "a", "question": "q", "step": "n", "correct": "c",
    "termination": "t", "tool": "o", "error": "e",
}  # fmt: skip
UNREADABLE = "unreadable"
"""Termination, to the index, of a line that is no trajectory."""
_TITLE, _PART, _WHOLE = 160, 20_000, 200_000


@dataclass(frozen=True)
class Origin:
    """Where a file's trajectories come from; ``model`` where they do not say it themselves."""

    job: str
    kind: str
    model: str = ""
    suite: str = ""
    arm: str = ""
    step: int | None = None


@dataclass(frozen=True)
class Facts:
    """One trajectory's."""

    question: str
    sample: int
    model: str
    termination: str
    title: str
    correct: bool | None = None
    reward: float | None = None
    tools: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    calls: int = 0
    turns: int = 0
    tokens: int = 0
    seconds: float = 0.0
    words: list[str] = field(default_factory=list)


def facts_of(line: Mapping[str, Any], origin: Origin) -> Facts:
    """Of a line: a trajectory, or (training) ``{trajectory, reward}``."""
    told = _mapping(line.get("trajectory")) if "trajectory" in line else line
    reward = _mapping(line.get("reward"))
    turns = [_mapping(turn) for turn in _list(told.get("turns"))]
    seen = [_mapping(observation) for turn in turns for observation in _list(turn.get("observations"))]
    made = [_mapping(call) for turn in turns for call in _list(turn.get("tool_calls"))]
    return Facts(
        question=_text(told.get("question_id"))[:500], sample=int(_number(told.get("sample"))),
        model=_text(told.get("model"))[:200] or origin.model, termination=_text(told.get("termination"))[:40] or "answered",
        title=_text(told.get("question"))[:_TITLE], correct=_correct(told, reward),
        reward=_number(reward["total"]) if "total" in reward else None,
        tools=_distinct(observation.get("name") for observation in seen if observation.get("executed", True)),
        errors=_distinct(observation.get("error_type") for observation in seen),
        calls=len(made), turns=len(turns), tokens=sum(map(_tokens, turns)), seconds=_number(told.get("duration_s")),
        words=list(_words(told, turns, seen, made)),
    )  # fmt: skip


def unreadable(line: bytes, number: int) -> Facts:
    """Of a line that holds no trajectory: it can be found by its words, and looked at."""
    text = line[:_PART].decode("utf-8", "replace")
    return Facts(
        question=f"line {number}", sample=0, model="", termination=UNREADABLE, title=text[:_TITLE], words=[text]
    )


def facet(name: str, value: object) -> str:
    """The word that stands for a facet's value in the full-text table."""
    return f"{MARK}{FACETS[name]}{blake2b(str(value).encode('utf-8', 'replace'), digest_size=8).hexdigest()}"


def body_of(facts: Facts, origin: Origin) -> str:
    """What the full-text table gets to see."""
    values = {
        "job": origin.job, "kind": origin.kind, "model": facts.model, "suite": origin.suite, "arm": origin.arm,
        "question": facts.question, "step": origin.step, "correct": outcome(facts.correct), "termination": facts.termination,
    }  # fmt: skip
    facets = [facet(name, value) for name, value in values.items() if value not in (None, "")]
    facets += [facet("tool", tool) for tool in facts.tools] + [facet("error", error) for error in facts.errors]
    return " ".join([*facets, " ".join(facts.words)[:_WHOLE].replace(MARK, " ")])


def outcome(correct: bool | int | None) -> str:
    """As the facet has it."""
    return "unknown" if correct is None else "right" if correct else "wrong"


def _correct(told: Mapping[str, Any], reward: Mapping[str, Any]) -> bool | None:
    if told.get("termination") == "infrastructure" or reward.get("excluded"):
        return None
    verdict = _mapping(told.get("metadata")).get("correct", reward.get("acc", reward.get("correctness")))
    return None if verdict is None else bool(verdict)


def _tokens(turn: Mapping[str, Any]) -> int:
    return int(_number(turn.get("generated_tokens"))) or len(_list(turn.get("token_ids")))


def _words(
    told: Mapping[str, Any],
    turns: Iterable[Mapping[str, Any]],
    seen: Iterable[Mapping[str, Any]],
    made: Iterable[Mapping[str, Any]],
) -> Iterator[str]:
    yield from (_text(told.get(name))[:_PART] for name in ("question", "answer", "error"))
    for turn in turns:
        yield _text(turn.get("text"))[:_PART]
        yield _text(turn.get("reasoning"))[:_PART]
    for call in made:
        yield _text(call.get("name"))[:_PART]
        yield _plain(call.get("arguments"))[:_PART]
    for observation in seen:
        yield _text(observation.get("content"))[:_PART]


def _plain(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False) if value else ""
    except (ValueError, RecursionError):
        return ""


def _distinct(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_text(value)[:100] for value in values if value))[:50]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)[:_PART]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e15:
        return 0.0
    return float(value)
