"""What a comparison and a leaderboard say."""

from __future__ import annotations

from mentor.analysis.intervals import Estimate
from mentor.analysis.significance import Method
from mentor.trajectory import Frozen

LEVEL = 0.05


class Setting(Frozen):
    """Something in which two runs differ. ``matters``: to a comparison of their accuracies."""

    part: str
    where: str
    a: str
    b: str
    matters: bool


class Changed(Frozen):
    """A question that one side solved more often. ``a``, ``b``: shares of right samples; answers by sample."""

    id: str
    question: str
    accepted: list[str]
    a: float
    b: float
    answers_a: list[str | None]
    answers_b: list[str | None]


class UsageDifference(Frozen):
    """b - a per sample, paired by question. ``invalid_calls``: failed ones."""

    calls: Estimate
    invalid_calls: Estimate
    turns: Estimate
    generated_tokens: Estimate
    seconds: Estimate


class SuiteComparison(Frozen):
    """b - a on the questions of one suite, asked in one way.

    ``bootstrap``: the same difference by a percentile bootstrap over questions, None where they are all alike. ``p``:
    McNemar's test or its extension to several samples (``method``); ``p_holm``: adjusted for the number of suites and arms;
    ``significant``: below 0.05 after that. ``detectable``: the difference that a comparison of this size finds 4 times in 5.
    """

    suite: str
    arm: str
    questions: int
    a: Estimate
    b: Estimate
    difference: Estimate
    bootstrap: Estimate | None
    better: int
    worse: int
    p: float
    p_holm: float
    method: Method
    significant: bool
    detectable: float
    usage: UsageDifference
    changed: list[Changed]


class MacroComparison(Frozen):
    """b - a over the suites of one arm, each counting the same."""

    arm: str
    suites: list[str]
    difference: Estimate


class Comparison(Frozen):
    """Two models on what both were asked. ``settings``: in what else the runs differ."""

    a: str
    b: str
    suites: list[SuiteComparison]
    macro: list[MacroComparison]
    settings: list[Setting]
    warnings: list[str]


class Standing(Frozen):
    """A model's place on one suite. ``behind``: best - this one, paired by question; None for the best itself and where the
    questions differ. ``p_holm``: adjusted for the number of models."""

    accuracy: Estimate
    best: bool
    behind: Estimate | None = None
    p_holm: float | None = None
    significant: bool | None = None


class Entry(Frozen):
    """A model of a run, asked in one way. ``macro``: by group, over suites that every entry has (``all`` among them)."""

    rank: int
    run: str
    model: str
    arm: str
    suites: dict[str, Standing]
    macro: dict[str, Estimate]


class Leaderboard(Frozen):
    """Entries, best first: by the macro average over the suites that all share, else by the mean of those they have."""

    suites: list[str]
    shared: list[str]
    groups: dict[str, list[str]]
    entries: list[Entry]
    settings: list[Setting]
    warnings: list[str]
