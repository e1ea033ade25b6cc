"""Gates: conditions that replace or bound the weighted sum. Off in every preset but the published code's."""

from __future__ import annotations

from pydantic import Field

from mentor.trajectory import Frozen, Termination, Trajectory


class OverlongShaping(Frozen):
    """Soft penalty on length (DAPO, eq. 13): 0 up to ``limit - buffer`` response tokens, then linear to ``-penalty``."""

    limit: int = Field(ge=1)
    buffer: int = Field(ge=1)
    penalty: float = Field(default=1.0, ge=0)

    def __call__(self, trajectory: Trajectory) -> float:
        tokens = sum(len(t.token_ids or ()) + len(t.observation_ids) for t in trajectory.turns)
        over = tokens - (self.limit - self.buffer)
        return -self.penalty * min(1.0, over / self.buffer) if over > 0 else 0.0


class Gates(Frozen):
    """What ends scoring early; None switches a gate off.

    ``no_end_of_turn``, ``no_answer``, ``invalid_limit``: the total that a trajectory gets which has no end-of-turn
    token, no boxed answer, or was stopped for invalid calls. Checked in this order.
    """

    no_end_of_turn: float | None = None
    no_answer: float | None = None
    invalid_limit: float | None = None
    overlong: OverlongShaping | None = None

    def verdict(self, trajectory: Trajectory) -> float | None:
        """The total that a gate dictates, or None to score as usual."""
        if self.no_end_of_turn is not None and not trajectory.ended_turn:
            return self.no_end_of_turn
        if self.invalid_limit is not None and trajectory.termination is Termination.INVALID_LIMIT:
            return self.invalid_limit
        if self.no_answer is not None and not (trajectory.answer or "").strip():
            return self.no_answer
        return None
