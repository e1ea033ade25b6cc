"""Everything that is measured of one world and student, each figure once: tables, figures and files ask for the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mentor.analysis.alignment_over_seeds import SeededAlignment
from mentor.analysis.crossed import CrossedDifference, CrossedEstimate
from mentor.experiment.findings.aligned import alignment_of, tool_shares
from mentor.experiment.findings.cells import signed
from mentor.experiment.findings.controls import Budget, at_tokens, budgets, training_tokens
from mentor.experiment.findings.measures import difference, estimate
from mentor.experiment.findings.results import Pair, Results, Where
from mentor.experiment.spec import BASELINE, TEACHER

ALL = "all"
"""The column over all sets."""


@dataclass(frozen=True)
class Measured:
    """Methods are rows, columns are sets, groups of several sets, and all."""

    results: Results
    pair: Pair
    _estimates: dict[tuple[str, str, str], CrossedEstimate | None] = field(default_factory=dict)
    _alignments: dict[tuple[str, str], SeededAlignment | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """World and student."""
        return " / ".join(self.pair)

    @cached_property
    def methods(self) -> list[str]:
        """Those that were run."""
        return self.results.methods(self.pair)

    @cached_property
    def columns(self) -> list[str]:
        """Names of sets and groups, then all."""
        sets = self.results.sets(self.pair)
        groups = [name for name in self.results.groups(self.pair) if name not in sets]
        return [*sets, *(groups if len(groups) > 1 else ()), *((ALL,) if len(sets) > 1 else ())]

    @cached_property
    def whole(self) -> str:
        """The column that stands for everything."""
        return self.columns[-1] if self.columns else ALL

    def where(self, column: str) -> Where:
        """The questions of a column."""
        return Where((self.pair[0],), (self.pair[1],), () if column == ALL else (column,))

    def label(self, method: str) -> str:
        """How tables call it."""
        return self.results.label(method)

    def seeds(self, method: str) -> int:
        """How many were run."""
        return len(self.results.seeds(*self.pair, method))

    def size(self, column: str) -> int:
        """Questions that any method was asked."""
        found = [self.estimate("accuracy", method, column) for method in self.methods]
        return max((one.clusters for one in found if one), default=0)

    def estimate(self, measure: str, method: str, column: str | None = None) -> CrossedEstimate | None:
        """A measure over a column; over all without one."""
        key = (measure, method, column or self.whole)
        if key not in self._estimates:
            self._estimates[key] = estimate(self.results, measure, method, self.where(key[2]))
        return self._estimates[key]

    def difference(self, measure: str, left: str, right: str, other: str | None = None) -> CrossedDifference | None:
        """left - right over all."""
        return difference(self.results, measure, left, right, self.where(self.whole), other)

    def gain(self, method: str, other: str | None = None) -> str:
        """Points of sampled accuracy over the student as it was."""
        same = method == BASELINE and other is None
        return "-" if same else signed(self.difference("accuracy", method, BASELINE, other))

    def alignment(self, method: str, column: str | None = None) -> SeededAlignment | None:
        """The score of a student; a teacher has none with itself."""
        key = (method, column or self.whole)
        if key not in self._alignments:
            self._alignments[key] = (
                None if method == TEACHER else alignment_of(self.results, method, self.where(key[1]))
            )
        return self._alignments[key]

    @cached_property
    def tools(self) -> dict[str, dict[str, float]]:
        """Shares of tools among calls, by method; without those that called none."""
        found = {method: tool_shares(self.results, method, self.where(self.whole)) for method in self.methods}
        return {method: shares for method, shares in found.items() if shares}

    @cached_property
    def budgets(self) -> Mapping[str, list[Budget]]:
        """Accuracy over samples a question, of students that are not trained."""
        asked = [m for m in self.methods if m != TEACHER and not self.results.is_trained(m)]
        return {m: found for m in asked if (found := budgets(self.results, m, self.where(self.whole)))}

    def at_tokens(self, method: str, tokens: float) -> Budget | None:
        """See ``controls.at_tokens``."""
        return at_tokens(self.budgets.get(method, ()), tokens)

    def spent(self, method: str) -> Mapping[str, float]:
        """Generated tokens of making it, by what they were spent on."""
        return training_tokens(self.results, method, self.where(self.whole))
