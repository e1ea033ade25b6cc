"""R_v: did every call work? (paper, section 3.2)"""

from __future__ import annotations

from mentor.rewards.base import Component, Sample


def executed(sample: Sample) -> float:
    """1 if every call ran and returned a result. No calls: nothing failed, 1. A call without observation failed."""
    trajectory = sample.trajectory
    return float(len(trajectory.calls) == len(trajectory.observations) and all(o.ok for o in trajectory.observations))


def known_name(sample: Sample) -> float:
    """1 if every call names a tool that exists (the published code); bad arguments and tool failures are forgiven."""
    trajectory = sample.trajectory
    wrong = any(o.error_type in ("unknown_tool", "malformed_call") for o in trajectory.observations)
    return float(not wrong and len(trajectory.calls) == len(trajectory.observations))


VALIDATION: dict[str, Component] = {"executed": executed, "known_name": known_name}
