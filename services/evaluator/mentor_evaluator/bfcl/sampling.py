"""BFCL's samples as trajectories of an evaluation: drawn, scored at once, with the official record beside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from mentor.errors import InfrastructureError
from mentor.inference import SamplingParams
from mentor.rollout import RolloutLimits
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.rollout.probe import probe
from mentor.tools import MATH_TOOLS
from mentor.trajectory import Question, Termination, Trajectory
from mentor_evaluator.bfcl.aggregate import Leaderboard, aggregate
from mentor_evaluator.bfcl.bench import Bench
from mentor_evaluator.bfcl.categories import Mode
from mentor_evaluator.bfcl.generate import Outcome
from mentor_evaluator.bfcl.scoring import Verdict
from mentor_evaluator.bfcl.simulators import RecordingTools

RECORD, VERDICT = "bfcl_record", "bfcl_verdict"
"""Keys in ``Trajectory.metadata``: a line of an official result file, and what the checkers said of it."""
_PROBE_SECONDS = 600.0


class Drawing:
    """Draws samples of one cell. Build with ``open``."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    @classmethod
    @asynccontextmanager
    async def open(cls, mode: Mode, memories: Path, policy: Policy, sampling: SamplingParams) -> AsyncIterator[Self]:
        """Start what it needs, and have the model asked with a tool once where tools will be offered.

        Raises:
            UserError: the package is not installed, or the endpoint takes no tools.
        """
        if mode == "fc":
            await probe(policy, RecordingTools([MATH_TOOLS[0].openai()]), sampling, _PROBE_SECONDS)
        bench = await asyncio.to_thread(Bench, mode, memories)
        try:
            yield cls(bench)
        finally:
            await asyncio.to_thread(bench.close)

    async def draw(
        self,
        question: Question,
        policy: Policy,
        toolset: ToolRunner,
        limits: RolloutLimits,
        sampling: SamplingParams,
        *,
        sample: int = 0,
    ) -> Trajectory:
        """One sample. The benchmark has its own tools and limits; those of the evaluation are not used."""
        try:
            outcome = await self._bench.run(question.id, policy, sampling, sample)
            if outcome.failed:
                return trajectory_of(question, outcome, policy, None)
            (verdict,) = await self._bench.score([(question.id, outcome.record["result"])])
        except InfrastructureError as error:
            return Trajectory(
                question_id=question.id, question=question.question, sample=sample, model=policy.model, mode=policy.mode,
                termination=Termination.INFRASTRUCTURE, error=error.message,
            )  # fmt: skip
        return trajectory_of(question, outcome, policy, verdict)


def trajectory_of(question: Question, outcome: Outcome, policy: Policy, verdict: Verdict | None) -> Trajectory:
    """All user turns of a sample as one trajectory."""
    metadata: dict[str, Any] = {RECORD: outcome.record}
    if verdict is not None:
        metadata[VERDICT] = verdict.model_dump()
    parts = outcome.trajectories
    return Trajectory(
        question_id=question.id,
        question=question.question,
        turns=tuple(turn for part in parts for turn in part.turns),
        termination=outcome.termination,
        answer=parts[-1].answer if parts else None,
        sample=outcome.sample,
        prompt_ids=parts[0].prompt_ids if parts else None,
        model=policy.model,
        mode=policy.mode,
        error=outcome.error,
        duration_s=sum(part.duration_s for part in parts),
        metadata=metadata,
    )


def verdict_of(trajectory: Trajectory) -> Verdict:
    """What the checkers said of a sample; one of another benchmark is wrong, and says so."""
    said = trajectory.metadata.get(VERDICT)
    if said is None:
        return Verdict(id=trajectory.question_id, valid=False, reason="no_bfcl_sample")
    return Verdict.model_validate(said)


def leaderboards(cells: Mapping[str, Sequence[Trajectory]], not_run: Mapping[str, str]) -> dict[str, Leaderboard]:
    """The official numbers of every model and arm.

    Args:
        cells: trajectories by ``MODEL/SUITE/ARM``, of BFCL's suites only.
        not_run: why a suite was not run, by its name.
    """
    verdicts: dict[str, list[Verdict]] = {}
    for key, trajectories in cells.items():
        model, _, arm = key.split("/")
        kept = [verdict_of(trajectory) for trajectory in trajectories if not trajectory.failed]
        verdicts.setdefault(f"{model}/{arm}", []).extend(kept)
    reasons = {name.removeprefix("bfcl-"): why for name, why in not_run.items()}
    return {key: aggregate(found, reasons) for key, found in verdicts.items() if found}
