"""Tokens of a trajectory: by ids, else as the server counted them, else measured from texts."""

from __future__ import annotations

from mentor.trajectory import Trajectory, Turn

CHARS_PER_TOKEN = 3.5
"""Where a server neither gave ids nor counted: English prose and JSON together; an estimate only."""


def is_estimated(trajectory: Trajectory) -> bool:
    """Whether any of its tokens must be estimated."""
    if trajectory.prompt_ids is not None:
        return any(turn.token_ids is None for turn in trajectory.turns)
    return any(turn.prompt_tokens is None or turn.generated_tokens is None for turn in trajectory.turns)


def generated_tokens(trajectory: Trajectory) -> float:
    """What the model wrote."""
    return sum(_written(turn) for turn in trajectory.turns)


def prompt_tokens(trajectory: Trajectory) -> float:
    """What it was sent: every turn sends the conversation so far."""
    context = float(len(trajectory.prompt_ids or ())) or len(trajectory.question) / CHARS_PER_TOKEN
    total = 0.0
    for turn in trajectory.turns:
        context = context if turn.prompt_tokens is None else float(turn.prompt_tokens)
        total += context
        context += _written(turn)
        seen = sum(len(o.content) for o in turn.observations) / CHARS_PER_TOKEN
        context += len(turn.observation_ids) or seen
    return total


def _written(turn: Turn) -> float:
    if turn.token_ids is not None:
        return float(len(turn.token_ids))
    counted = turn.generated_tokens
    return len(turn.text) / CHARS_PER_TOKEN if counted is None else float(counted)
