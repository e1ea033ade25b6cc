"""Checkpoints as models of evaluation jobs: the evaluator's suites, on the fly, while training goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog

from mentor.errors import MentorError
from mentor.jobs.client import JobClient
from mentor.jobs.model import Job, JobState
from mentor.trajectory import Frozen
from mentor_trainer.config import TrainSpec

log = structlog.get_logger("mentor.trainer")
_KIND = "evaluation"
_NAME = "student"


class Evaluated(Frozen):
    """A checkpoint's accuracy on every cell (``SUITE/ARM``), and their mean."""

    step: int
    job: str
    accuracy: dict[str, float]

    @property
    def mean(self) -> float:
        """Unweighted, over cells."""
        return sum(self.accuracy.values()) / len(self.accuracy)


class Evaluations:
    """Submits checkpoints to an evaluator and asks what became of them. Whatever fails is logged, and is no evaluation."""

    def __init__(self, spec: TrainSpec, client: JobClient | None = None) -> None:
        self._spec = spec
        self._client = client or JobClient(str(spec.evaluator_url), outage_s=5.0)

    def submit(self, step: int, model: Path) -> str | None:
        """The id of the job that evaluates a step's model."""
        try:
            student = {"name": _NAME, "model": {"path": self._client.share(str(model))}}
            settings = self._spec.evaluate.model_dump(mode="json", exclude_none=True)
            fields = {**settings, "models": [student], "suites": list(self._spec.evaluate_suites)}
            return self._client.submit(_KIND, fields, key=f"{self._spec.name}-{step}-{model}").id
        except MentorError as error:
            log.warning("a checkpoint could not be submitted for evaluation", step=step, error=str(error))
            return None

    def ended(self, step: int, job_id: str) -> Evaluated | bool:
        """What it found; True if it ended and found nothing, False while it goes on or nobody can say."""
        try:
            job = self._client.get(job_id)
        except MentorError:
            return False
        if not job.state.final:
            return False
        accuracy = _accuracies(job)
        if not accuracy:
            log.warning("an evaluation of a checkpoint failed", step=step, job=job_id, error=job.error)
            return True
        return Evaluated(step=step, job=job_id, accuracy=accuracy)


def _accuracies(job: Job) -> dict[str, float]:
    cells: dict[str, Any] = (job.result or {}).get("cells", {}) if job.state is JobState.SUCCEEDED else {}
    means = {key.removeprefix(f"{_NAME}/"): cell["accuracy"]["mean"] for key, cell in cells.items()}
    return {key: float(mean) for key, mean in means.items() if mean is not None}
