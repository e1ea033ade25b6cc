"""The tokens of a trajectory: ids, log-probabilities, and which of them a loss would see."""

from __future__ import annotations

from dataclasses import dataclass

from mentor.trajectory import Trajectory

PAGE = 2000


@dataclass(frozen=True)
class Token:
    """``learnt``: the model's own, not put before it. ``level``: 0 (certain) to 4 (unlikely), -1 where it is not known."""

    number: int
    id: int
    learnt: bool
    logprob: float | None
    level: int


def tokens(trajectory: Trajectory, start: int = 0) -> tuple[list[Token], int] | None:
    """A page of the response's tokens, and how many there are; None where the server gave no ids."""
    if not any(turn.token_ids is not None for turn in trajectory.turns):
        return None
    try:
        ids, mask, logprobs = trajectory.response()
    except ValueError:
        return None
    known = [
        turn.logprobs is not None
        for turn in trajectory.turns
        for _ in range(len(turn.token_ids or ()) + len(turn.observation_ids))
    ]
    page = range(start, min(start + PAGE, len(ids)))
    return [_token(n, ids[n], bool(mask[n]), logprobs[n] if known[n] and mask[n] else None) for n in page], len(ids)


def _token(number: int, token: int, learnt: bool, logprob: float | None) -> Token:
    level = -1 if logprob is None else sum(logprob < bound for bound in (-0.05, -0.7, -2.3, -4.6))
    return Token(number, token, learnt, logprob, level)
