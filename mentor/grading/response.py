"""The final answer in a model's whole response."""

from __future__ import annotations

from mentor.trajectory import Termination, Trajectory


def final_answer(trajectory: Trajectory) -> str | None:
    """The answer of a trajectory's final turn; None where it did not end by answering."""
    return trajectory.answer if trajectory.termination is Termination.ANSWERED else None
