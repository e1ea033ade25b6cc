"""What a summary says of how its trajectories were generated."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mentor.rollout.solve import CORRECT, Drawn
from mentor.rollout.tally import REASONS, reason
from mentor.rollout.variants import PROMPT
from mentor.trajectory import Trajectory
from mentor_teacher.spec import TeacherSpec


def facts_of(spec: TeacherSpec, drawn: Drawn) -> dict[str, Any]:
    """Ends by reason, what was spent, and the budget that ended it (``stopped_by``; None where none did).

    ``identical_samples``: those that say word for word what an earlier one of their question said. With a temperature above 0
    many of them mean that the server ignores ``seed``, or keeps answers.
    """
    ends = Counter(reason(t, bool(t.metadata.get(CORRECT))) for t in drawn.trajectories)
    facts: dict[str, Any] = {
        "ends": {name: ends[name] for name in REASONS},
        "spent": drawn.spent.model_dump(),
        "stopped_by": drawn.stopped_by,
        "identical_samples": _identical(drawn.trajectories),
    }
    if spec.prompts:
        asked = Counter(t.metadata[PROMPT]["index"] for t in drawn.trajectories if PROMPT in t.metadata)
        right = Counter(
            t.metadata[PROMPT]["index"] for t in drawn.trajectories if PROMPT in t.metadata and t.metadata.get(CORRECT)
        )
        facts["prompts"] = [
            {**variant.model_dump(exclude_none=True), "samples": asked[index], "right": right[index]}
            for index, variant in enumerate(spec.prompts)
        ]
    return facts


def _identical(trajectories: tuple[Trajectory, ...]) -> int:
    said = Counter((t.question_id, tuple(turn.text for turn in t.turns)) for t in trajectories if t.turns)
    return sum(number - 1 for number in said.values())
