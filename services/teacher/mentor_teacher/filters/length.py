"""Trajectories that are longer or shorter than is wanted, in turns, calls, characters or tokens."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from mentor.trajectory import Trajectory
from mentor_teacher.filters import Candidate, Explained, FilterUse, Why

_MEASURES = ("turns", "calls", "characters", "tokens")


class Settings(FilterUse):
    """Bounds, each inclusive. ``characters``: of what the model wrote, reasoning included; ``tokens``: its own, where the
    server gave ids."""

    min_turns: int = Field(default=0, ge=0)
    max_turns: int | None = Field(default=None, ge=1)
    min_calls: int = Field(default=0, ge=0)
    max_calls: int | None = Field(default=None, ge=0)
    min_characters: int = Field(default=0, ge=0)
    max_characters: int | None = Field(default=None, ge=1)
    min_tokens: int = Field(default=0, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)


class _Length(Explained[Settings]):
    name = "length"
    summary = "drops what is out of bounds: min_ and max_ of turns, calls, characters, tokens"
    Options = Settings

    def drops(self, candidates: Sequence[Candidate], options: Settings) -> list[Why]:
        return [_why(candidate.trajectory, options) for candidate in candidates]


def _why(trajectory: Trajectory, options: Settings) -> Why:
    for measure, value in zip(_MEASURES, sizes(trajectory), strict=True):
        least, most = getattr(options, f"min_{measure}"), getattr(options, f"max_{measure}")
        if value is not None and value < least:
            return f"{value} {measure}, fewer than {least}"
        if value is not None and most is not None and value > most:
            return f"{value} {measure}, more than {most}"
    return None


def sizes(trajectory: Trajectory) -> tuple[int, int, int, int | None]:
    """Turns, calls, characters, and tokens (None where the server gave none)."""
    turns = trajectory.turns
    characters = sum(len(turn.text) + len(turn.reasoning or "") for turn in turns)
    known = all(turn.token_ids is not None for turn in turns)
    tokens = sum(len(turn.token_ids or ()) for turn in turns) if known else None
    return len(turns), len(trajectory.calls), characters, tokens


PLUGIN = _Length()
