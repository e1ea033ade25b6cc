"""What a reward component is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pydantic import Field

from mentor.rewards.calls import Defaults
from mentor.trajectory import Frozen, Reference, Trajectory

Judge = Callable[[str | None, Sequence[str]], bool]
"""Tells whether a predicted answer equals one of the accepted ones. See ``mentor.grading.make_judge``."""


class Sample(Frozen):
    """One trajectory beside one reference."""

    trajectory: Trajectory
    reference: Reference
    correct: bool
    """Whether the answer is right, under the spec's correctness variant."""
    defaults: Defaults = Field(default_factory=dict)
    """What the tools take for an argument that is left out."""


class Component(Protocol):
    """A term of the reward: a number between 0 and 1."""

    def __call__(self, sample: Sample) -> float: ...
