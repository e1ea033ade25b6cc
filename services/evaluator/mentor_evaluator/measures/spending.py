"""What samples took: calls, tokens, money, seconds; and how those ended that did not answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from mentor.analysis import CallsByQuestion
from mentor.analysis.clusters import Values
from mentor.analysis.means import amount, amount_ratio, difference, quantile
from mentor.analysis.shares import share, share_ratio
from mentor.analysis.tokens import generated_tokens, is_estimated, prompt_tokens
from mentor.rollout.budget import Prices
from mentor.rollout.solve import VERDICT
from mentor.trajectory import Observation, Termination, Trajectory
from mentor_evaluator.measures.accuracy import Grouped, is_right
from mentor_evaluator.measures.models import Cost, Endings, Latency, Rates, Tokens, ToolDifference

_UNFINISHED = ("timeout", "worker_died")


def per_sample(grouped: Grouped, measure: Callable[[Trajectory], float]) -> dict[str, list[float]]:
    """A measure of every sample, by question."""
    return {name: [measure(t) for t in found] for name, found in grouped.items()}


def rates(grouped: Grouped) -> Rates:
    """How tools were used."""
    calls = {name: sum(len(t.observations) for t in found) for name, found in grouped.items()}
    kinds = Counter(kind_of(o) for found in grouped.values() for t in found for o in t.observations if not o.ok)

    def failed(kind: str | None) -> dict[str, tuple[float, float]]:
        return {name: (_failures(found, kind), float(calls[name])) for name, found in grouped.items() if calls[name]}

    return Rates(
        usage=share(per_sample(grouped, lambda t: float(bool(t.attempted_names)))),
        calls_per_question=amount(per_sample(grouped, lambda t: float(len(t.observations)))),
        turns_per_question=amount(per_sample(grouped, lambda t: float(len(t.turns)))),
        invalid=share_ratio(failed(None)) if any(calls.values()) else None,
        invalid_by_kind={kind: share_ratio(failed(kind)) for kind, _ in kinds.most_common()},
    )


def kind_of(observation: Observation) -> str:
    """Why a call failed."""
    return observation.error_type or "unknown"


def _failures(samples: Sequence[Trajectory], kind: str | None) -> float:
    return float(sum(not o.ok and kind in (None, kind_of(o)) for t in samples for o in t.observations))


def tokens(grouped: Grouped) -> Tokens:
    """Tokens per sample."""
    return Tokens(
        prompt=amount(per_sample(grouped, prompt_tokens)),
        generated=amount(per_sample(grouped, generated_tokens)),
        estimated=any(is_estimated(t) for found in grouped.values() for t in found),
    )


def cost(grouped: Grouped, prices: Prices) -> Cost | None:
    """What the samples and each right answer cost; None where no price is known. The interval is that of right answers by
    money, turned over."""
    if not (prices.price_in or prices.price_out):
        return None
    spent = per_sample(grouped, prices.of)
    total = sum(sum(values) for values in spent.values())
    right = {name: sum(map(is_right, found)) for name, found in grouped.items()}
    if not sum(right.values()) or not total:
        return Cost(total=total, per_right=None, low=None, high=None)
    rate = amount_ratio({name: (right[name], sum(spent[name])) for name in grouped})
    return Cost(
        total=total,
        per_right=1 / rate.mean,
        low=1 / rate.high,
        high=1 / rate.low if rate.low > 0 else None,
    )  # fmt: skip


def latency(grouped: Grouped) -> Latency:
    """Seconds per sample."""
    seconds = per_sample(grouped, lambda t: t.duration_s)
    return Latency(median=quantile(seconds, 0.5), p95=quantile(seconds, 0.95))


def endings(trajectories: Sequence[Trajectory]) -> Endings:
    """How samples ended that did not answer."""
    long = [t for t in trajectories if t.termination is Termination.LENGTH]
    cut = sum(t.error is None and bool(t.turns) and t.turns[-1].finish_reason == "length" for t in long)
    reasons = [(t.metadata.get(VERDICT) or {}).get("reason") for t in trajectories if not t.failed]
    return Endings(
        context_overflows=len(long) - cut, cut_off=cut, judge_timeouts=sum(reason in _UNFINISHED for reason in reasons)
    )


def tool_differences(teacher: CallsByQuestion, student: CallsByQuestion) -> dict[str, ToolDifference]:
    """By tool, calls per question beside the teacher's, over the questions that both answered."""
    shared = [name for name in teacher if teacher[name] and student.get(name)]
    tools = sorted({tool for side in (teacher, student) for name in shared for row in side[name] for tool in row})
    totals = [_totals(side, shared) for side in (teacher, student)]

    def calls(side: CallsByQuestion, tool: str) -> Values:
        return {name: [float(row.get(tool, 0)) for row in side[name]] for name in shared}

    return {
        tool: ToolDifference(
            student=_mean(calls(student, tool)), teacher=_mean(calls(teacher, tool)),
            student_share=totals[1][tool] / max(1, totals[1].total()),
            teacher_share=totals[0][tool] / max(1, totals[0].total()),
            difference=difference(calls(teacher, tool), calls(student, tool)),
        )
        for tool in tools
    }  # fmt: skip


def _totals(side: CallsByQuestion, names: Sequence[str]) -> Counter[str]:
    total: Counter[str] = Counter()
    for name in names:
        for row in side[name]:
            total.update(row)
    return total


def _mean(values: Mapping[str, Sequence[float]]) -> float:
    """Over questions, of their samples' means."""
    return sum(sum(v) / len(v) for v in values.values()) / len(values)
