"""Many runs by rank: models times suites, with what the differences to the best are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mentor.analysis.intervals import Estimate
from mentor.analysis.macro import macro_share
from mentor.analysis.means import difference
from mentor.analysis.shares import share
from mentor.analysis.significance import holm, paired_test
from mentor.errors import UserError
from mentor_evaluator.comparing.models import LEVEL, Entry, Leaderboard, Setting, Standing
from mentor_evaluator.comparing.settings import differences
from mentor_evaluator.comparing.sides import Side
from mentor_evaluator.matrix.plan import groups
from mentor_evaluator.measures.accuracy import correctness
from mentor_evaluator.measures.matrix import ALL
from mentor_evaluator.measures.models import FEW_QUESTIONS
from mentor_evaluator.runs import Run

Rights = dict[str, list[float]]


@dataclass(frozen=True)
class _Row:
    """A model of a run in one arm, with its right answers by suite."""

    side: Side
    arm: str
    rights: dict[str, Rights]

    @property
    def name(self) -> str:
        return f"{self.side.label}/{self.arm}"

    def digest(self, suite: str) -> str | None:
        facts = self.side.run.manifest.suites.get(suite)
        return facts.questions_digest if facts else None


def leaderboard(runs: Sequence[Run], *, arm: str | None = None, seed: int = 0) -> Leaderboard:
    """Rank the models of runs.

    Differences to the best are tested between entries that were asked the same questions, and adjusted for their number
    (Holm) on each suite. In what else runs differ is said (``settings``), beside the first of them.

    Args:
        arm: only samples drawn in this way, such as ``tools``.

    Raises:
        UserError: there is no run, or none has samples (in that arm).
    """
    rows = [row for run in runs for row in _rows(run, arm)]
    if not rows:
        raise UserError("there is nothing to rank", field="runs", allowed="runs with samples")
    suites = list(dict.fromkeys(suite for row in rows for suite in row.rights))
    shared = [suite for suite in suites if all(suite in row.rights for row in rows)]
    standings = {suite: _standings(suite, rows, seed) for suite in suites}
    members = _groups(shared)
    ordered = sorted(rows, key=lambda row: -_score(row, shared or suites))
    entries = [_entry(place, row, standings, members) for place, row in enumerate(ordered, start=1)]
    return Leaderboard(
        suites=suites, shared=shared, groups=members, entries=entries,
        settings=_settings(rows), warnings=_warnings(rows, suites, shared),
    )  # fmt: skip


def _rows(run: Run, arm: str | None) -> list[_Row]:
    found: dict[tuple[str, str], dict[str, Rights]] = {}
    for cell in run.cells():
        rights = correctness(cell.trajectories) if arm in (None, cell.arm) else {}
        if rights:
            found.setdefault((cell.model, cell.arm), {})[cell.suite] = rights
    return [_Row(Side(run, model), way, rights) for (model, way), rights in found.items()]


def _score(row: _Row, suites: Sequence[str]) -> float:
    means = [share(row.rights[suite]).mean for suite in suites if suite in row.rights]
    return sum(means) / len(means)


def _standings(suite: str, rows: Sequence[_Row], seed: int) -> dict[str, Standing]:
    """By entry; only those that have the suite."""
    mine = [row for row in rows if suite in row.rights]
    shares = {row.name: share(row.rights[suite]) for row in mine}
    best = max(mine, key=lambda row: shares[row.name].mean)
    found = {row.name: Standing(accuracy=shares[row.name], best=row is best) for row in mine}
    others = [row for row in mine if row is not best and row.digest(suite) == best.digest(suite) is not None]
    others = [row for row in others if row.rights[suite].keys() & best.rights[suite].keys()]
    tested = {row.name: paired_test(row.rights[suite], best.rights[suite], seed=seed).p for row in others}
    for row in others:
        p = holm(tested)[row.name]
        behind = difference(row.rights[suite], best.rights[suite], bound=1.0)
        found[row.name] = found[row.name].model_copy(update={"behind": behind, "p_holm": p, "significant": p < LEVEL})
    return found


def _groups(shared: Sequence[str]) -> dict[str, list[str]]:
    named = {group: [s for s in members if s in shared] for group, members in groups().items()}
    found = {ALL: list(shared), **named}
    return {group: members for group, members in found.items() if len(members) > 1}


def _entry(place: int, row: _Row, standings: dict[str, dict[str, Standing]], members: dict[str, list[str]]) -> Entry:
    mine = {suite: found[row.name] for suite, found in standings.items() if row.name in found}
    macro: dict[str, Estimate] = {
        group: macro_share([mine[suite].accuracy for suite in suites]) for group, suites in members.items()
    }
    return Entry(
        rank=place, run=row.side.run.name, model=row.side.model, arm=row.arm, suites=mine, macro=macro
    )  # fmt: skip


def _settings(rows: Sequence[_Row]) -> list[Setting]:
    found: dict[str, Setting] = {}
    for row in rows[1:]:
        common = [suite for suite in row.rights if suite in rows[0].rights]
        for setting in differences(rows[0].side, row.side, common):
            if setting.matters:
                found[f"{row.side.label} {setting.part} {setting.where}"] = setting.model_copy(
                    update={"where": f"{row.side.label}: {setting.where}"}
                )
    return list(found.values())


def _warnings(rows: Sequence[_Row], suites: Sequence[str], shared: Sequence[str]) -> list[str]:
    found = []
    partial = [suite for suite in suites if suite not in shared]
    if partial:
        found.append(f"not every entry has {', '.join(partial)}: macro averages leave them out")
    small = [s for s in suites if any(len(row.rights.get(s, ())) < FEW_QUESTIONS for row in rows if s in row.rights)]
    if small:
        found.append(f"fewer than {FEW_QUESTIONS} questions: {', '.join(small)}")
    return found
