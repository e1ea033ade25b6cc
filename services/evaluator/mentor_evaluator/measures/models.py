"""The schema of reports: of a cell (``cells/MODEL/SUITE/ARM/report.json``) and of a run (``report.json``)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mentor.analysis import AlignmentScore, ToolUsage
from mentor.analysis.intervals import Estimate
from mentor.analysis.means import Quantile
from mentor.trajectory import Frozen
from mentor_evaluator.bfcl.aggregate import Leaderboard

SCHEMA_VERSION = 2
FEW_QUESTIONS = 30
"""Below, coverage of intervals is not proven (docs/statistics.md), and reports say so."""


class Rates(Frozen):
    """How tools were used. ``invalid``: share of calls that failed; ``invalid_by_kind``: the same by kind of failure."""

    usage: Estimate
    calls_per_question: Estimate
    turns_per_question: Estimate
    invalid: Estimate | None
    invalid_by_kind: dict[str, Estimate]


class Tokens(Frozen):
    """Tokens per sample. ``prompt``: of every turn's request, each of which sends the conversation so far. ``estimated``: the
    server gave no token ids, so that texts were measured instead."""

    prompt: Estimate
    generated: Estimate
    estimated: bool


class Cost(Frozen):
    """By the spec's prices. ``per_right``: of a right answer, None where there is none; ``high`` None: not bounded."""

    total: float
    per_right: float | None
    low: float | None
    high: float | None


class Latency(Frozen):
    """Seconds that a sample took, tools included."""

    median: Quantile
    p95: Quantile


class Endings(Frozen):
    """Samples that ended otherwise than by an answer, or that the judge could not finish. Each counts in the denominator.

    ``cut_off``: a turn reached its token limit. ``context_overflows``: the conversation outgrew the response or the context.
    ``judge_timeouts``: the judge was stopped at its deadline, and the answer counts as wrong.
    """

    context_overflows: int
    cut_off: int
    judge_timeouts: int


class ToolDifference(Frozen):
    """Calls of one tool per question beside the teacher's. ``difference``: student - teacher, paired by question."""

    student: float
    teacher: float
    student_share: float
    teacher_share: float
    difference: Estimate


class CellReport(Frozen):
    """One model on one suite in one way.

    ``accuracy``: over all samples. ``avg_at_k``, ``pass_at_k``, ``maj_at_k``: by k, over questions none of whose samples was
    lost; pass@k is the unbiased estimator, maj@k votes by equivalent answers. ``measures``: means of what the scorer says
    beside its verdict; a second judge's under ``second/NAME``. ``tool_effect``: accuracy of samples that called a tool and of
    those that did not, which compares different questions; the effect proper is in the run's ``tool_effects``.
    ``figures``: the suite's own.
    """

    schema_version: int = SCHEMA_VERSION
    questions: int
    samples: int
    trajectories: int
    infrastructure_failures: int
    mode: list[str]
    accuracy: Estimate
    avg_at_k: dict[str, Estimate]
    pass_at_k: dict[str, Estimate]
    maj_at_k: dict[str, Estimate]
    usage: ToolUsage
    rates: Rates
    tokens: Tokens
    cost: Cost | None
    latency: Latency
    endings: Endings
    tool_counts: dict[str, int]
    reference_tool_counts: dict[str, int] | None = None
    alignment: AlignmentScore | None = None
    tool_differences: dict[str, ToolDifference] = Field(default_factory=dict)
    categories: dict[str, Estimate]
    tool_effect: dict[str, Estimate | None]
    measures: dict[str, Estimate]
    warnings: list[str]
    skipped_rows: int = 0
    figures: dict[str, float] = Field(default_factory=dict)
    groups: list[str] = Field(default_factory=list)


class Macro(Frozen):
    """The unweighted mean over a group's suites of a model's accuracies. ``missing``: of the group, but not run."""

    model: str
    arm: str
    group: str
    suites: list[str]
    missing: list[str]
    accuracy: Estimate


class ToolEffect(Frozen):
    """Accuracy with tools minus without, paired by question. ``detectable``: what a test of this size finds 4 times in 5."""

    model: str
    suite: str
    with_arm: str
    without_arm: str
    difference: Estimate
    p: float
    method: str
    detectable: float


class RunReport(Frozen):
    """The matrix of results.

    ``cells`` by ``MODEL/SUITE/ARM``, of which ``accuracy`` and ``invalid_rate`` hold one figure each, for dashboards.
    ``not_run``: suites that were asked for as part of a group and cannot be run here, with the reason. ``bfcl``: the official
    numbers of BFCL by ``MODEL/ARM``.
    """

    schema_version: int = SCHEMA_VERSION
    models: list[str]
    suites: list[str]
    arms: list[str]
    cells: dict[str, CellReport]
    macro: list[Macro] = Field(default_factory=list)
    tool_effects: list[ToolEffect] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    accuracy: dict[str, float] = Field(default_factory=dict)
    invalid_rate: dict[str, float] = Field(default_factory=dict)
    not_run: dict[str, str] = Field(default_factory=dict)
    bfcl: dict[str, Leaderboard] = Field(default_factory=dict)


def schemas() -> dict[str, Any]:
    """JSON schemas of both."""
    return {"cell": CellReport.model_json_schema(), "run": RunReport.model_json_schema()}
