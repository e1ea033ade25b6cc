"""Two trajectories of a question beside each other: which calls are the same, which differ, which only one of them made."""

from __future__ import annotations

from difflib import SequenceMatcher

from mentor.rewards.calls import canonical_arguments
from mentor.trajectory import CallSignature, ToolCall, Trajectory

Marks = dict[tuple[int, int], str]
"""By turn and call, from 1: ``same``, ``changed`` or ``only``."""
_MOST = 2000


def compare(left: Trajectory, right: Trajectory) -> tuple[Marks, Marks]:
    """Marks for both sides. Calls are the same where reward takes them for the same: numbers by value."""
    ours, theirs = _calls(left), _calls(right)
    marks: tuple[Marks, Marks] = ({}, {})
    matcher = SequenceMatcher(None, [_same(c) for _, c in ours], [_same(c) for _, c in theirs], autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            _mark(marks, "same", ours[a:b], theirs[c:d])
            continue
        named = SequenceMatcher(None, [c.name for _, c in ours[a:b]], [c.name for _, c in theirs[c:d]], autojunk=False)
        for inner, e, f, g, h in named.get_opcodes():
            _mark(marks, "changed" if inner == "equal" else "only", ours[a + e : a + f], theirs[c + g : c + h])
    return marks


def _mark(
    marks: tuple[Marks, Marks],
    mark: str,
    ours: list[tuple[tuple[int, int], ToolCall]],
    theirs: list[tuple[tuple[int, int], ToolCall]],
) -> None:
    marks[0].update({place: mark for place, _ in ours})
    marks[1].update({place: mark for place, _ in theirs})


def _calls(trajectory: Trajectory) -> list[tuple[tuple[int, int], ToolCall]]:
    return [
        ((turn, number), call)
        for turn, spoken in enumerate(trajectory.turns, start=1)
        for number, call in enumerate(spoken.tool_calls, start=1)
    ][:_MOST]


def _same(call: ToolCall) -> tuple[str, str]:
    try:
        return call.name, str(
            sorted(canonical_arguments(CallSignature(name=call.name, arguments=call.arguments), {}).items())
        )
    except RecursionError:
        return call.name, call.raw
