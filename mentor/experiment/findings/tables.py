"""The tables of a world and student: accuracies (Table 2's shape), settings (Table 3's shape), controls, sharpening."""

from __future__ import annotations

from mentor.experiment.findings.cells import aligned, interval, number, signed
from mentor.experiment.findings.measured import Measured
from mentor.experiment.spec import BASELINE, TEACHER
from mentor.tabular import NONE, Table

_NOTE = "Intervals: 95%, over seeds and questions together; over questions alone where there is one seed."


def accuracies(found: Measured) -> Table:
    """Methods by sets, groups and all: sampled with intervals, greedy over all, tokens of a right answer."""
    columns = found.columns
    rows = [
        (
            found.label(m), str(found.seeds(m)), *(interval(found.estimate("accuracy", m, c)) for c in columns),
            interval(found.estimate("greedy_accuracy", m)), interval(found.estimate("tokens_per_answer", m), 1.0, 0),
        )
        for m in found.methods
    ]  # fmt: skip
    heads = [f"{column} (n={found.size(column)})" for column in columns]
    header = ("method", "seeds", *heads, "greedy, all", "tokens a right answer")
    return Table(f"Accuracy in %, {found.name}", header, tuple(rows), words=1, note=_NOTE)


def settings(found: Measured) -> Table:
    """What each way of training does to the use of tools, beside the student as it was."""
    rows = []
    for method in found.methods:
        score = found.alignment(method)
        rows.append(
            (
                found.label(method), interval(found.estimate("accuracy", method)), found.gain(method), aligned(score),
                number(score.noise_floor if score else None), interval(found.estimate("invalid_rate", method)),
                interval(found.estimate("usage_rate", method)),
                interval(found.estimate("calls_per_question", method), 1.0, 2),
            )
        )  # fmt: skip
    header = (
        "method", "accuracy %", f"change to {found.label(BASELINE)}", "alignment score", "noise floor", "invalid calls %",
        "tool usage %", "calls a question",
    )  # fmt: skip
    note = (
        f"{_NOTE} `*`: p < 0.05, paired by seed and question, not corrected. Noise floor: what a policy identical to the "
        "teacher would score on average with as many calls."
    )
    return Table(f"Ways of training, {found.name}", header, tuple(rows), words=1, note=note)


def sharpening(found: Measured) -> Table | None:
    """How much of a gain is there without training, by asking the student as it was greedily or at low temperature."""
    if BASELINE not in found.methods:
        return None
    rows = [
        (
            found.label(m), found.gain(m), found.gain(m, other="greedy_accuracy"),
            signed(found.difference("greedy_accuracy", m, BASELINE)),
        )
        for m in found.methods
        if m not in (BASELINE, TEACHER)
    ]  # fmt: skip
    base = found.label(BASELINE)
    header = ("method", f"sampled - {base} sampled", f"sampled - {base} greedy", f"greedy - {base} greedy")
    note = (
        f"Points, `*`: p < 0.05, not corrected. What is left against {base} greedy is more than sharpening what the student "
        "already preferred. Ways of asking without training (other temperatures) are rows of their own."
    )
    return Table(f"Gain and sharpening, {found.name}", header, tuple(rows), words=1, note=note) if rows else None


def at_equal_tokens(found: Measured) -> Table | None:
    """Every trained method beside votes of the student as it was, with at least as many generated tokens."""
    curve = found.budgets.get(BASELINE)
    trained = [m for m in found.methods if found.results.is_trained(m)]
    if not curve or not trained:
        return None
    rows = [_equal(found, method) for method in trained]
    header = (
        "method", "tokens a question", "accuracy %", "samples of the vote", "its tokens", "majority vote %",
        "best of n % (oracle)", "tokens spent in training",
    )  # fmt: skip
    note = (
        f"The vote of {found.label(BASELINE)} takes the fewest samples that write at least as many tokens: to its favour. "
        "Tokens of training are not added: they are spent once, whatever is asked later."
    )
    return Table(f"Votes at equal tokens, {found.name}", header, tuple(rows), words=1, note=note)


def _equal(found: Measured, method: str) -> tuple[str, ...]:
    tokens, accuracy = found.estimate("tokens", method), found.estimate("accuracy", method)
    point = found.at_tokens(BASELINE, tokens.mean) if tokens else None
    spent = "; ".join(f"{name} {value:,.0f}" for name, value in found.spent(method).items()) or NONE
    vote = (
        (str(point.n), f"{point.tokens:,.0f}", interval(point.majority), interval(point.best))
        if point
        else (f"more than {found.budgets[BASELINE][-1].n}", NONE, NONE, NONE)
    )
    return (found.label(method), interval(tokens, 1.0, 0), interval(accuracy), *vote, spent)


def tables(found: Measured) -> list[Table]:
    """Those that there is something for."""
    made = (accuracies(found), settings(found), sharpening(found), at_equal_tokens(found))
    return [table for table in made if table is not None]
