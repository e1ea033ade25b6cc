"""What is kept of a run for good: small enough to be committed, whole enough that every figure can be made from it again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mentor.analysis.tokens import generated_tokens
from mentor.data.files import atomic_path
from mentor.errors import UserError
from mentor.trajectory import Frozen, Trajectory

VERSION = 1
SUFFIX = ".json.gz"


class RunId(Frozen):
    """Which cell of the grid a record belongs to."""

    world: str
    student: str
    method: str
    seed: int

    @property
    def label(self) -> str:
        """World/student/method/seed in one word."""
        return f"{self.world}.{self.student}.{self.method}.s{self.seed}"


class Draw(Frozen):
    """One trajectory of an evaluation, without its text.

    ``calls``: names of the calls that reached a tool, in order; ``ok``: whether each of all attempted calls returned a
    result; ``errors``: kinds of those that did not. ``tokens``: generated ones. ``lost``: infrastructure ended it, nothing of
    it counts.
    """

    question: str
    sample: int
    correct: bool
    lost: bool
    answer: str | None
    calls: tuple[str, ...]
    ok: tuple[bool, ...]
    errors: tuple[str, ...]
    tokens: float
    end: str


class EvaluatedQuestion(Frozen):
    """What findings must know of a question: the set and group it belongs to, and its kind."""

    id: str
    set: str
    group: str
    kind: str | None = None


class RunRecord(Frozen):
    """A run that is done.

    ``key``: digest of all that made it (spec, data, code). ``evaluations``: by the name of the way of asking, ``sampled`` and
    ``greedy``. ``steps``: training metrics, one mapping of numbers a step. ``seconds``: by job. ``tokens``: generated ones,
    by what they were spent on (``teacher``, ``training``). ``made_of``: the digests that went into the key, by name.
    """

    version: int = VERSION
    key: str
    run: RunId
    made_of: dict[str, Any]
    questions: tuple[EvaluatedQuestion, ...]
    evaluations: dict[str, tuple[Draw, ...]]
    steps: tuple[dict[str, float], ...] = ()
    seconds: dict[str, float] = {}
    tokens: dict[str, float] = {}
    finished: str = ""


def draw_of(trajectory: Trajectory) -> Draw:
    """What is kept of a trajectory."""
    seen = trajectory.observations
    return Draw(
        question=trajectory.question_id,
        sample=trajectory.sample,
        correct=bool(trajectory.metadata.get("correct")),
        lost=trajectory.failed,
        answer=trajectory.answer,
        calls=trajectory.attempted_names,
        ok=tuple(one.ok for one in seen),
        errors=tuple(one.error_type or "unknown" for one in seen if not one.ok),
        tokens=generated_tokens(trajectory),
        end=str(trajectory.termination),
    )


def path_of(folder: Path, run: RunId) -> Path:
    """Where a run's record is."""
    return folder / "runs" / f"{run.label}{SUFFIX}"


def write_record(record: RunRecord, folder: Path) -> Path:
    """Write a record; the same record gives the same bytes."""
    path = path_of(folder, record.run)
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = record.model_dump(mode="json")
    plain["evaluations"] = {name: _columns(draws) for name, draws in record.evaluations.items()}
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    with atomic_path(path) as partial:
        partial.write_bytes(gzip.compress(text.encode(), mtime=0))
    return path


def read_record(path: Path) -> RunRecord:
    """Read a record.

    Raises:
        UserError: the file is no record, naming it.
    """
    try:
        plain = json.loads(gzip.decompress(path.read_bytes()))
        plain["evaluations"] = {name: _rows(columns) for name, columns in plain["evaluations"].items()}
        return RunRecord.model_validate(plain)
    except (OSError, EOFError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise UserError(
            f"{path} is no record of a run: {error}", field="results", allowed="what a run wrote"
        ) from error


class RecordHead(Frozen):
    """What of a record says whether it is the one that is wanted, and what it took; see ``RunRecord``."""

    key: str
    made_of: dict[str, Any]
    seconds: dict[str, float]
    tokens: dict[str, float]
    finished: str
    step_seconds: float | None
    """Mean seconds of a training step, None where there were none."""


def read_head(path: Path) -> RecordHead:
    """A record's head, without looking at its draws.

    Raises:
        UserError: the file is no record, naming it.
    """
    try:
        plain = json.loads(gzip.decompress(path.read_bytes()))
        lasted = [step["seconds"] for step in plain["steps"] if "seconds" in step]
        mean = sum(lasted) / len(lasted) if lasted else None
        fields = {name: plain[name] for name in RecordHead.model_fields if name != "step_seconds"}
        return RecordHead(step_seconds=mean, **fields)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no record of a run: {error}", field="results", allowed="what a run wrote"
        ) from error


def read_records(folder: Path) -> Iterator[RunRecord]:
    """All records of a results folder, in the order of their names."""
    for path in sorted((folder / "runs").glob(f"*{SUFFIX}")):
        yield read_record(path)


def _columns(draws: Iterable[Draw]) -> dict[str, list[Any]]:
    """By field: a thousand rows repeat no name."""
    rows = [draw.model_dump(mode="json") for draw in draws]
    return {name: [row[name] for row in rows] for name in Draw.model_fields}


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    names = list(Draw.model_fields)
    return [dict(zip(names, values, strict=True)) for values in zip(*(columns[name] for name in names), strict=True)]
