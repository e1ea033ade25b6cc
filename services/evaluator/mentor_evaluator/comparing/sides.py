"""One model of one run, as a side of a comparison: what it was asked, how, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mentor.errors import UserError
from mentor.rollout.limits import RolloutLimits
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.measures.accuracy import by_question
from mentor_evaluator.runs import CellFolder, Run, open_run

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Side:
    """A model of a run."""

    run: Run
    model: str

    @property
    def label(self) -> str:
        """``RUN:MODEL``."""
        return f"{self.run.name}:{self.model}"

    @cached_property
    def cells(self) -> dict[tuple[str, str], CellFolder]:
        """By suite and arm."""
        return {(cell.suite, cell.arm): cell for cell in self.run.cells() if cell.model == self.model}

    @cached_property
    def drawn(self) -> dict[str, Any]:
        """How samples were drawn: what the spec says of this model, else of all. Without seeds, which differ as they may."""
        spec = self.run.manifest.spec
        models: list[dict[str, Any]] = spec.get("models", [])
        own: dict[str, Any] = next((model for model in models if model.get("name") == self.model), {})
        sampling = own.get("sampling") or spec.get("sampling")
        limits = own.get("limits") or spec.get("limits")
        return {
            "sampling": {k: v for k, v in sampling.items() if k != "seed"} if sampling else UNKNOWN,
            "limits": RolloutLimits.model_validate(limits).model_dump() if limits is not None else UNKNOWN,
            "strategy": spec.get("strategy", UNKNOWN),
        }


def side_of(run: Run, model: str | None, field: str) -> Side:
    """A side; a run of one model need not name it.

    Raises:
        UserError: the run has no such model, or several and none is named.
    """
    models = sorted({cell.model for cell in run.cells()})
    if model is None and len(models) == 1:
        model = models[0]
    if model not in models:
        what = "several models: name one" if model is None else f"no model {model!r}"
        raise UserError(f"{run.name} has {what}", field=field, allowed=f"RUN:MODEL with one of {', '.join(models)}")
    return Side(run, model)


def parse_side(text: str, field: str) -> tuple[Run, str | None]:
    """``RUN`` or ``RUN:MODEL``; models may have colons in their names, folders too.

    Raises:
        UserError: there is no such run.
    """
    parts = text.split(":")
    for cut in range(len(parts), 0, -1):
        folder = Path(":".join(parts[:cut]))
        if folder.is_dir():
            return open_run(folder, field), ":".join(parts[cut:]) or None
    raise UserError(f"{text} names no run", field=field, allowed="the folder of a run, or FOLDER:MODEL")


@dataclass(frozen=True)
class Asked:
    """A cell's questions and surviving samples."""

    questions: dict[str, Question]
    samples: dict[str, list[Trajectory]]


def asked(cell: CellFolder) -> Asked:
    """What a cell holds."""
    return Asked({q.id: q for q in cell.questions}, by_question(cell.trajectories))
