"""A trajectory as turns, calls and observations, of a length that a browser bears; the rest is a link away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from mentor.errors import NotFoundError
from mentor.trajectory import Observation, ToolCall, Trajectory, Turn
from mentor_console.text import pretty

_PART, _SHORT, _BUDGET = 8_000, 300, 600_000
TURNS = 200
"""Turns of one page."""


@dataclass(frozen=True)
class Part:
    """A text, or its beginning: ``left`` characters are at ``address``."""

    text: str
    left: int = 0
    address: str = ""


@dataclass(frozen=True)
class Call:
    """A call and what came back."""

    number: int
    name: str
    arguments: Part
    problem: str | None
    observation: Observation | None
    content: Part | None
    mark: str = ""
    """Beside another trajectory: ``same``, ``changed`` (same tool, other arguments), ``only`` (the other has none)."""


@dataclass(frozen=True)
class Spoken:
    """One turn; ``number`` counts from 1."""

    number: int
    turn: Turn
    text: Part
    reasoning: Part | None
    calls: list[Call] = field(default_factory=list)


class Clip:
    """Cuts texts, more so once a page has become long."""

    def __init__(self, key: str) -> None:
        self._key, self._left = key, _BUDGET

    def part(self, text: str, **where: object) -> Part:
        """The text or its beginning."""
        limit = _PART if self._left > 0 else _SHORT
        kept = text[:limit]
        self._left -= len(kept)
        left = len(text) - len(kept)
        return Part(kept, left, f"/trajectories/{self._key}/text?{urlencode(where)}" if left else "")


def conversation(
    key: str, trajectory: Trajectory, first: int = 1, marks: Mapping[tuple[int, int], str] | None = None
) -> list[Spoken]:
    """The turns from ``first`` on, at most ``TURNS``."""
    clip = Clip(key)
    chosen = list(enumerate(trajectory.turns, start=1))[first - 1 : first - 1 + TURNS]
    return [_spoken(clip, number, turn, marks or {}) for number, turn in chosen]


def _spoken(clip: Clip, number: int, turn: Turn, marks: Mapping[tuple[int, int], str]) -> Spoken:
    reasoning = clip.part(turn.reasoning, turn=number, part="reasoning") if turn.reasoning else None
    text = clip.part(turn.text, turn=number, part="text")
    pairs = zip(turn.tool_calls, [*turn.observations, *[None] * len(turn.tool_calls)], strict=False)
    calls = [_call(clip, number, n, call, seen, marks) for n, (call, seen) in enumerate(pairs, start=1)]
    return Spoken(number, turn, text, reasoning, calls)


def _call(
    clip: Clip, turn: int, number: int, call: ToolCall, seen: Observation | None, marks: Mapping[tuple[int, int], str]
) -> Call:
    arguments = clip.part(_arguments(call), turn=turn, call=number, part="arguments")
    content = clip.part(seen.content, turn=turn, call=number, part="observation") if seen else None
    return Call(number, call.name, arguments, call.error, seen, content, marks.get((turn, number), ""))


def _arguments(call: ToolCall) -> str:
    return call.raw if call.error is not None and call.raw else pretty(call.arguments)


def whole_text(trajectory: Trajectory, turn: int, part: str, call: int | None) -> str:
    """One text of a trajectory, whole.

    Raises:
        NotFoundError: it has no such part.
    """
    try:
        if part == "question":
            return trajectory.question
        if turn < 1 or (call is not None and call < 1):
            raise IndexError
        spoken = trajectory.turns[turn - 1]
        if part in ("text", "reasoning"):
            return (spoken.text if part == "text" else spoken.reasoning) or ""
        if part == "arguments" and call is not None:
            return _arguments(spoken.tool_calls[call - 1])
        if part == "observation" and call is not None:
            return spoken.observations[call - 1].content
    except IndexError:
        pass
    raise NotFoundError(
        "the trajectory has no such text",
        field="part",
        allowed="question; text or reasoning of a turn; arguments or observation of a call",
    )
