"""Evaluations' one implementation, behind REST and gRPC alike. Blocking: callers on an event loop use threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mentor.errors import ConflictError, UserError
from mentor.jobs.manager import JobManager
from mentor.jobs.model import Job, JobState
from mentor_evaluator.api.samples import SamplePage, page_of
from mentor_evaluator.commands.listing import suite_rows
from mentor_evaluator.comparing.compare import compare_runs
from mentor_evaluator.comparing.leaderboard import leaderboard
from mentor_evaluator.comparing.models import Comparison, Leaderboard
from mentor_evaluator.matrix.job import EvaluationJob
from mentor_evaluator.runs import Run, open_run

KIND = EvaluationJob.kind
_NEWEST = 20


class Evaluations:
    """Starts evaluations and reads what they found.

    Args:
        manager: of the service's jobs; whose job it is, and who may see it, is its business.
    """

    def __init__(self, manager: JobManager) -> None:
        self.manager = manager

    def create(self, spec: dict[str, Any], key: str | None) -> tuple[Job, bool]:
        """Queue one; returns it and whether it is new. Raises as ``JobManager.submit``."""
        return self.manager.submit(KIND, spec, key)

    def get(self, job_id: str) -> Job:
        """One evaluation; raises ``NotFoundError``."""
        return self.manager.get(job_id)

    def newest(self, state: str | None, limit: int) -> list[Job]:
        """Evaluations, newest first; raises ``UserError`` on a bad filter."""
        return self.manager.newest(KIND, state, limit)

    def results(self, job_id: str) -> dict[str, Any]:
        """The matrix of results.

        Raises:
            NotFoundError: the caller has no such evaluation.
            ConflictError: it has not succeeded.
        """
        return self.run(job_id).report

    def samples(self, job_id: str, conditions: str, page: int, page_size: int) -> SamplePage:
        """A page of scored trajectories; raises as ``results``, and ``UserError`` on a bad filter or page."""
        return page_of(self.run(job_id), conditions, page, page_size)

    def suites(self) -> list[dict[str, Any]]:
        """The suites, and whether their data are here."""
        return suite_rows()

    def compare(self, a: str, b: str, even_if: Sequence[str]) -> Comparison:
        """Two evaluations, or two models of one (``ID:MODEL``), paired by question; differences are b - a.

        Raises:
            NotFoundError: the caller has no such evaluation.
            ConflictError: one has not succeeded.
            UserError: they differ in what matters and ``even_if`` does not name it, or share no suite.
        """
        (one, model_a), (two, model_b) = self._side(a), self._side(b)
        return compare_runs(one, two, model_a=model_a, model_b=model_b, even_if=even_if)

    def leaderboard(self, ids: Sequence[str], arm: str | None) -> Leaderboard:
        """Models of several evaluations, best first; of the newest that have succeeded where none is named."""
        chosen = ids or [job.id for job in self.newest(JobState.SUCCEEDED, _NEWEST)]
        if not chosen:
            raise UserError("no evaluation has succeeded yet", field="runs", allowed="ids of evaluations")
        return leaderboard([self.run(job_id) for job_id in chosen], arm=arm)

    def _side(self, text: str) -> tuple[Run, str | None]:
        job_id, colon, model = text.partition(":")
        return self.run(job_id), model if colon else None

    def run(self, job_id: str) -> Run:
        """The run's folder; raises as ``results``."""
        job = self.manager.get(job_id)
        if job.state is not JobState.SUCCEEDED:
            raise ConflictError(
                f"evaluation {job_id} is {job.state}", field="id", allowed="one that has succeeded; /events tells when"
            )
        folder = self.manager.files.open_path(self.manager.artifact(job_id, "run"))
        return open_run(folder, "id", called=job_id)
