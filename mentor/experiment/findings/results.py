"""The records of a grid by their place in it, the draws that count, and which runs are missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mentor.experiment.plan import run_ids
from mentor.experiment.records import Draw, EvaluatedQuestion, RunId, RunRecord
from mentor.experiment.spec import BASELINE, TEACHER, ExperimentSpec

SAMPLED, GREEDY = "sampled", "greedy"
Pair = tuple[str, str]
"""World and student."""


@dataclass(frozen=True)
class Where:
    """What counts together. Empty ``sets`` are all; names of sets and of groups of sets mix."""

    worlds: tuple[str, ...]
    students: tuple[str, ...]
    sets: tuple[str, ...] = ()

    def holds(self, question: EvaluatedQuestion) -> bool:
        """Whether a question counts."""
        return not self.sets or question.set in self.sets or question.group in self.sets


@dataclass(frozen=True)
class Run:
    """A record with its draws by question, those lost to infrastructure left out and counted."""

    record: RunRecord

    @cached_property
    def questions(self) -> dict[str, EvaluatedQuestion]:
        """By id."""
        return {question.id: question for question in self.record.questions}

    @cached_property
    def kept(self) -> dict[str, dict[str, list[Draw]]]:
        """By the way of asking, by question id; of questions that the record knows."""
        found: dict[str, dict[str, list[Draw]]] = {}
        for way, draws in self.record.evaluations.items():
            rows = found.setdefault(way, defaultdict(list))
            for draw in draws:
                if not draw.lost and draw.question in self.questions:
                    rows[draw.question].append(draw)
        return found

    @property
    def lost(self) -> int:
        """Draws that infrastructure ended."""
        return sum(draw.lost for draws in self.record.evaluations.values() for draw in draws)

    @property
    def drawn(self) -> int:
        """All draws."""
        return sum(len(draws) for draws in self.record.evaluations.values())

    def within(self, way: str, where: Where) -> dict[str, list[Draw]]:
        """The draws of the questions that count."""
        return {n: draws for n, draws in self.kept.get(way, {}).items() if where.holds(self.questions[n])}


@dataclass(frozen=True)
class Results:
    """All that is known of a grid. Of several records of one run the last counts."""

    spec: ExperimentSpec
    records: Sequence[RunRecord]
    _runs: dict[RunId, Run] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_runs", {record.run: Run(record) for record in self.records})

    @property
    def runs(self) -> Mapping[RunId, Run]:
        """By their place."""
        return self._runs

    @cached_property
    def _by_cell(self) -> dict[tuple[str, str, str], dict[int, Run]]:
        found: dict[tuple[str, str, str], dict[int, Run]] = defaultdict(dict)
        for run_id, run in sorted(self._runs.items(), key=lambda item: item[0].label):
            found[run_id.world, run_id.student, run_id.method][run_id.seed] = run
        return dict(found)

    def seeds(self, world: str, student: str, method: str) -> dict[int, Run]:
        """Runs by seed. A teacher is the same for every student of a world."""
        if method != TEACHER:
            return self._by_cell.get((world, student, method), {})
        rows = [runs for (w, _, m), runs in self._by_cell.items() if (w, m) == (world, method)]
        return {seed: run for runs in reversed(rows) for seed, run in runs.items()}

    @cached_property
    def pairs(self) -> list[Pair]:
        """Worlds and students of which any student's run is there, in the order of the grid file."""
        seen = {(r.world, r.student) for r in self._runs if r.method != TEACHER}
        return [(w, s) for w in self.spec.worlds for s in self.spec.students if (w, s) in seen]

    def methods(self, pair: Pair) -> list[str]:
        """Those of which a run is there: teacher, student as it is, then the grid file's order."""
        return [m for m in (TEACHER, BASELINE, *self._named) if self.seeds(*pair, m)]

    @property
    def _named(self) -> list[str]:
        return [name for name in self.spec.methods if name not in (TEACHER, BASELINE)]

    def sets(self, pair: Pair) -> list[str]:
        """Evaluation sets that were asked, in the order of the world's file; those it does not name come last."""
        asked = {
            q.set for m in self.methods(pair) for run in self.seeds(*pair, m).values() for q in run.questions.values()
        }
        named = [name for name in self.spec.worlds[pair[0]].evaluation if name in asked]
        return [*named, *sorted(asked - set(named))]

    def groups(self, pair: Pair) -> list[str]:
        """Groups of more than one set, each of which is a column of its own in tables."""
        sets: dict[str, set[str]] = defaultdict(set)
        for method in self.methods(pair):
            for run in self.seeds(*pair, method).values():
                for question in run.questions.values():
                    sets[question.group].add(question.set)
        return [name for name in sets if sets[name] != {name}]

    def common(self, where: Where, *methods: str) -> Where:
        """What of it all the methods were run in: a world that one of them lacks compares nothing."""
        pairs = [(w, s) for w in where.worlds for s in where.students if all(self.seeds(w, s, m) for m in methods)]
        worlds, students = (tuple(dict.fromkeys(pair[axis] for pair in pairs)) for axis in (0, 1))
        return Where(worlds, students, where.sets)

    def label(self, method: str) -> str:
        """How tables call a method."""
        known = self.spec.methods.get(method)
        return (known.label if known else None) or method

    def is_trained(self, method: str) -> bool:
        """Whether seeds make different models of it."""
        known = self.spec.methods.get(method)
        return known is not None and known.train is not None

    @cached_property
    def wanted(self) -> list[RunId]:
        """Every run that the grid asks for, each once."""
        return run_ids(self.spec)

    @property
    def missing(self) -> list[RunId]:
        """Those of which there is no record."""
        return [run for run in self.wanted if run not in self._runs]


def code_versions(records: Iterable[RunRecord]) -> dict[str, int]:
    """How many runs each version of the code made; more than one version says that runs may differ by it."""
    found: Counter[str] = Counter()
    for record in records:
        said = record.made_of.get("code", ())
        found.update({said} if isinstance(said, str) else {str(one) for one in said})
    return dict(found.most_common())
