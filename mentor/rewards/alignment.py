"""R_a: does the student use the teacher's tools? (paper, section 3.2; variants of Table 3)

Only calls that ran and returned a result count as the student's (``Trajectory.executed_calls``), so a tool that is named
in the text, refused, or failing earns nothing. A trajectory without calls has R_a = 1 only if the teacher made none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mentor.rewards.base import Component, Sample
from mentor.trajectory import CallSignature


def _names(calls: Sequence[CallSignature]) -> list[str]:
    return [call.name for call in calls]


def _pair(sample: Sample) -> tuple[list[str], list[str]]:
    return _names(sample.trajectory.executed_calls), _names(sample.reference.tool_calls)


def strict_names(sample: Sample) -> float:
    """1 if the sets of tool names are equal (v1/v2 of the paper; setting 5)."""
    student, teacher = _pair(sample)
    return float(set(student) == set(teacher))


def strict_calls(sample: Sample) -> float:
    """1 if the multisets of calls, arguments included, are equal. A reference without arguments matches by name."""
    student, teacher = sample.trajectory.executed_calls, sample.reference.tool_calls
    if len(student) != len(teacher):
        return 0.0
    left = [_canonical(call) for call in student]
    # References with arguments first: one without would otherwise take a call that only it could match.
    for call in sorted(teacher, key=lambda c: c.arguments is None):
        wanted = _canonical(call)
        match = next((s for s in left if s == wanted or (wanted[1] is None and s[0] == wanted[0])), None)
        if match is None:
            return 0.0
        left.remove(match)
    return 1.0


def _canonical(call: CallSignature) -> tuple[str, str | None]:
    if call.arguments is None:
        return call.name, None
    return call.name, json.dumps({k: _number(v) for k, v in call.arguments.items()}, sort_keys=True, default=str)


def _number(value: object) -> object:
    """5 and 5.0 are the same argument."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [_number(v) for v in value] if isinstance(value, list) else value


def f1(sample: Sample) -> float:
    """F1 of the two sets of tool names (setting 4)."""
    student, teacher = map(set, _pair(sample))
    if not student and not teacher:
        return 1.0
    return 2 * len(student & teacher) / (len(student) + len(teacher))


def jaccard(sample: Sample) -> float:
    """Intersection over union of the two sets of tool names."""
    student, teacher = map(set, _pair(sample))
    return len(student & teacher) / len(student | teacher) if student | teacher else 1.0


def any_tool(sample: Sample) -> float:
    """1 if the student used any tool where the teacher did, or none where the teacher used none (setting 2)."""
    student, teacher = _pair(sample)
    return float(bool(student) == bool(teacher))


def any_overlap(sample: Sample) -> float:
    """1 if the sets share a name, or both are empty (the published partial-matching ablation)."""
    student, teacher = map(set, _pair(sample))
    return float(bool(student & teacher) or not (student or teacher))


def ordered(sample: Sample) -> float:
    """Longest common subsequence of the two name sequences, over the longer one's length."""
    student, teacher = _pair(sample)
    longest = max(len(student), len(teacher))
    return _lcs(student, teacher) / longest if longest else 1.0


def _lcs(a: list[str], b: list[str]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        previous = row
        row = [0]
        for j, y in enumerate(b, start=1):
            row.append(previous[j - 1] + 1 if x == y else max(previous[j], row[-1]))
    return row[-1]


def flexible(sample: Sample) -> float:
    """Half set F1, half order: our reading of v3's flexible process-aware alignment, whose formula is not public."""
    return 0.5 * f1(sample) + 0.5 * ordered(sample)


def graded(sample: Sample) -> float:
    """Mean of three F1 scores: over tool names, over (name, argument name), over (name, argument name, value).

    A level of which the reference knows nothing (no arguments recorded) is left out of the mean.
    """
    student, teacher = sample.trajectory.executed_calls, sample.reference.tool_calls
    levels = [_set_f1(set(_names(student)), set(_names(teacher)))]
    if all(call.arguments is not None for call in teacher):
        levels.append(_set_f1(_slots(student, values=False), _slots(teacher, values=False)))
        levels.append(_set_f1(_slots(student, values=True), _slots(teacher, values=True)))
    return sum(levels) / len(levels)


def _slots(calls: Sequence[CallSignature], *, values: bool) -> set[tuple[str, ...]]:
    slots: set[tuple[str, ...]] = set()
    for call in calls:
        for key, value in (call.arguments or {}).items():
            shown = (json.dumps(_number(value), sort_keys=True, default=str),) if values else ()
            slots.add((call.name, key, *shown))
    return slots


def _set_f1(student: set, teacher: set) -> float:  # type: ignore[type-arg]
    if not student and not teacher:
        return 1.0
    return 2 * len(student & teacher) / (len(student) + len(teacher))


ALIGNMENT: dict[str, Component] = {
    "strict_names": strict_names,
    "strict_calls": strict_calls,
    "f1": f1,
    "jaccard": jaccard,
    "any_tool": any_tool,
    "any_overlap": any_overlap,
    "ordered": ordered,
    "flexible": flexible,
    "graded": graded,
}
