"""Where the time went: turns one after another, the calls of each together, as they ran."""

from __future__ import annotations

from dataclasses import dataclass

from mentor.trajectory import Trajectory

WIDTH = 1000.0
_MOST = 300


@dataclass(frozen=True)
class Span:
    """A bar; ``start`` and ``width`` in parts of ``WIDTH``."""

    label: str
    turn: int
    kind: str
    start: float
    width: float
    seconds: float


@dataclass(frozen=True)
class Timeline:
    """``unknown``: seconds of the whole that neither a turn nor a call accounts for."""

    spans: list[Span]
    seconds: float
    unknown: float


def timeline(trajectory: Trajectory) -> Timeline | None:
    """None where nothing was measured."""
    known: list[tuple[str, int, str, float, float]] = []
    now = 0.0
    for number, turn in enumerate(trajectory.turns, start=1):
        if turn.duration_s > 0:
            known.append((f"turn {number}", number, "turn", now, turn.duration_s))
            now += turn.duration_s
        calls = [(o.name, o.duration_ms / 1000, o.ok) for o in turn.observations]
        known += [(name, number, "call" if ok else "failed", now, seconds) for name, seconds, ok in calls]
        now += max((seconds for _, seconds, _ in calls), default=0.0)
    total = max(now, trajectory.duration_s)
    if not known or total <= 0:
        return None
    scale = WIDTH / total
    spans = [
        Span(label, turn, kind, start * scale, max(1.5, s * scale), s) for label, turn, kind, start, s in known[:_MOST]
    ]
    return Timeline(spans, total, max(0.0, total - now))
