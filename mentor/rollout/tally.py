"""How drawing goes: counts by reason, tokens a second, and how long it will take."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from mentor.analysis.tokens import generated_tokens
from mentor.trajectory import Termination, Trajectory

_WINDOW_S = 60.0
_ENDS = {
    Termination.INFRASTRUCTURE: "lost", Termination.REFUSED: "refused", Termination.LENGTH: "too_long",
    Termination.MAX_TURNS: "out_of_turns", Termination.INVALID_LIMIT: "invalid_calls",
}  # fmt: skip
REASONS = ("right", "wrong", "unanswered", "too_long", "out_of_turns", "invalid_calls", "refused", "lost")
"""``unanswered``: it ended its turn without an answer. ``lost``: to infrastructure."""


def reason(trajectory: Trajectory, right: bool) -> str:
    """What became of a trajectory, one of ``REASONS``."""
    if right:
        return "right"
    return _ENDS.get(trajectory.termination) or ("unanswered" if trajectory.answer is None else "wrong")


class Tally:
    """Counts as trajectories end. ``clock`` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._recent: deque[tuple[float, float]] = deque()
        self._began = clock()
        self._fraction: float | None = None

    def known(self, drawn: Iterable[tuple[Trajectory, bool]]) -> None:
        """Count what an earlier attempt has drawn."""
        self.counts.update(reason(trajectory, right) for trajectory, right in drawn)

    def add(self, trajectory: Trajectory, right: bool) -> None:
        """Count one that has just ended."""
        self.counts[reason(trajectory, right)] += 1
        now = self._clock()
        self._recent.append((now, generated_tokens(trajectory)))
        while self._recent[0][0] < now - _WINDOW_S:
            self._recent.popleft()

    def figures(self, fraction: float) -> dict[str, Any]:
        """Counts by reason, tokens a second over the last minute, and the seconds that are left, where they can be told."""
        now = self._clock()
        lasted = min(_WINDOW_S, max(1e-3, now - self._began))
        found: dict[str, Any] = {name: self.counts[name] for name in REASONS if self.counts[name]}
        found["tokens_per_s"] = round(sum(tokens for _, tokens in self._recent) / lasted, 1)
        if self._fraction is None:
            self._fraction = fraction
        advanced = fraction - self._fraction
        if advanced > 0:
            found["eta_s"] = round((1 - fraction) * (now - self._began) / advanced)
        return found


def line(figures: dict[str, Any]) -> str:
    """Figures for people."""
    counts = ", ".join(f"{figures[name]} {name.replace('_', ' ')}" for name in REASONS if name in figures)
    rate = f"{figures['tokens_per_s']:,.0f} tokens/s"
    left = f", {_minutes(figures['eta_s'])} left" if "eta_s" in figures else ""
    return f"{counts or 'none yet'}; {rate}{left}"


def _minutes(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
