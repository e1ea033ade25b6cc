"""How far apart two ways to an answer are: by their calls, in order."""

from __future__ import annotations

import json
from difflib import SequenceMatcher

from mentor.trajectory import Trajectory

Steps = tuple[str, ...]


def steps(trajectory: Trajectory) -> Steps:
    """The executed calls, each as one text: its tool and its arguments, whatever their order."""
    return tuple(
        f"{call.name} {json.dumps(call.arguments or {}, sort_keys=True, default=str)}"
        for call in trajectory.executed_calls
    )


def distance(one: Steps, other: Steps) -> float:
    """0 for the same calls in the same order, 1 for none in common; half of it for the tools, half for tools with arguments."""
    tools = [tuple(step.partition(" ")[0] for step in steps) for steps in (one, other)]
    return 1 - (_alike(one, other) + _alike(*tools)) / 2


def _alike(one: Steps, other: Steps) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio() if one or other else 1.0
