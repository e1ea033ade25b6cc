"""Trajectories in which the teacher declines to answer, or speaks of itself as a model, by patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import field_validator

from mentor.trajectory import Trajectory
from mentor_teacher.filters import Candidate, Explained, FilterUse, Why
from mentor_teacher.texts import spoken

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'"})
_CANNOT = r"(?:can't|cannot|can not|won't|will not|(?:am|'m) (?:unable|not able) to|(?:must )?decline to)"
_HELP = r"(?:help|assist|answer|comply|provide|fulfill?|complete|solve|do th(?:at|is)|continue|discuss|engage|share|support)"
PATTERNS = (
    rf"\b(?:I|we)\s*{_CANNOT}\s+(?:\w+\s+){{0,3}}?{_HELP}\b",
    r"\bI(?:'m| am) (?:very |really |so )?sorry,? but\b",
    r"\b(?:as|being) an? (?:AI|artificial intelligence|(?:large )?language model)\b",
    r"\b(?:against|violates?) (?:my|our|the) (?:guidelines|policy|policies|programming)\b",
    r"\bI (?:do not|don't) (?:have (?:enough|sufficient)|possess) (?:information|data|context)\b",
)
"""English alone: other languages by ``patterns`` of a spec's own."""


class Settings(FilterUse):
    """``patterns``: regular expressions beside the built-in ones (``built_in``), looked for without regard to case."""

    patterns: tuple[str, ...] = ()
    built_in: bool = True

    @field_validator("patterns")
    @classmethod
    def _compile(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in given:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return given

    def require_plain(self, field: str) -> None:
        """A pattern of a stranger can take for ever to match."""
        if self.patterns:
            from mentor.errors import ForbiddenError

            raise ForbiddenError(
                f"{field}.patterns: patterns of one's own are for operators", field=f"{field}.patterns"
            )


class _Refusals(Explained[Settings]):
    name = "refusals"
    summary = "drops what declines to answer (patterns: of your own beside the English ones)"
    Options = Settings

    def drops(self, candidates: Sequence[Candidate], options: Settings) -> list[Why]:
        every = (*(PATTERNS if options.built_in else ()), *options.patterns)
        compiled = [re.compile(pattern, re.IGNORECASE) for pattern in every]
        return [_why(candidate.trajectory, compiled) for candidate in candidates]


def _why(trajectory: Trajectory, patterns: Sequence[re.Pattern[str]]) -> Why:
    text = "\n".join(spoken(turn) for turn in trajectory.turns).translate(_APOSTROPHES)
    found = next((match for pattern in patterns if (match := pattern.search(text))), None)
    return None if found is None else f"says {found.group(0)!r:.80}"


PLUGIN = _Refusals()
