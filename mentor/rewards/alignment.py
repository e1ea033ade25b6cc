"""R_a: does the student use the teacher's tools? (paper, section 3.2; variants of Table 3)

Only calls that ran and returned a result count as the student's (``Trajectory.executed_calls``), so a tool that is named
in the text, refused, or failing earns nothing. A trajectory without calls has R_a = 1 only if the teacher made none.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from mentor.rewards.base import Component, Sample
from mentor.rewards.calls import Defaults, canonical_arguments
from mentor.trajectory import CallSignature

Slot = tuple[str, ...]


def _names(calls: Sequence[CallSignature]) -> list[str]:
    return [call.name for call in calls]


def _pair(sample: Sample) -> tuple[list[str], list[str]]:
    return _names(sample.trajectory.executed_calls), _names(sample.reference.tool_calls)


def strict_names(sample: Sample) -> float:
    """1 if the sets of tool names are equal (v1/v2 of the paper; setting 5)."""
    student, teacher = _pair(sample)
    return float(set(student) == set(teacher))


def strict_calls(sample: Sample) -> float:
    """1 if the multisets of calls, arguments included, are equal. A reference without arguments matches by name.

    Numbers are equal by value, at every depth; an argument that is left out has its default.
    """
    student, teacher = sample.trajectory.executed_calls, sample.reference.tool_calls
    if len(student) != len(teacher):
        return 0.0
    left = [_canonical(call, sample.defaults) for call in student]
    # References with arguments first: one without would otherwise take a call that only it could match.
    for call in sorted(teacher, key=lambda c: c.arguments is None):
        wanted = _canonical(call, sample.defaults)
        match = next((s for s in left if s == wanted or (wanted[1] is None and s[0] == wanted[0])), None)
        if match is None:
            return 0.0
        left.remove(match)
    return 1.0


def _canonical(call: CallSignature, defaults: Defaults) -> tuple[str, dict[str, str] | None]:
    return call.name, None if call.arguments is None else canonical_arguments(call, defaults)


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

    A level that says nothing is left out of the mean: one of which the reference knows nothing (no arguments recorded),
    and one that is empty on both sides (tools without arguments), which is no agreement. No calls at all on both sides: 1.
    """
    student, teacher = sample.trajectory.executed_calls, sample.reference.tool_calls
    levels: list[tuple[set[Slot], set[Slot]]] = [({(n,) for n in _names(student)}, {(n,) for n in _names(teacher)})]
    if all(call.arguments is not None for call in teacher):
        ours, theirs = (_slots(calls, sample.defaults) for calls in (student, teacher))
        levels += [({slot[:2] for slot in ours}, {slot[:2] for slot in theirs}), (ours, theirs)]
    scores = [2 * len(a & b) / (len(a) + len(b)) for a, b in levels if a or b]
    return sum(scores) / len(scores) if scores else 1.0


def _slots(calls: Sequence[CallSignature], defaults: Defaults) -> set[Slot]:
    """(name, argument, value) of every argument."""
    return {(call.name, key, value) for call in calls for key, value in canonical_arguments(call, defaults).items()}


def coin(sample: Sample) -> float:
    """1 for half of all trajectories, whatever is in them: a control, which teaches nothing (Shao et al., arXiv 2506.10947).

    Drawn from a digest of what was written and of the sample's number, so that the same run has the same rewards.
    """
    drawn = sample.trajectory
    said = f"{drawn.question_id}\0{drawn.sample}\0" + "\0".join(turn.text for turn in drawn.turns)
    return float(zlib.crc32(said.encode()) & 1)


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
    "coin": coin,
}
