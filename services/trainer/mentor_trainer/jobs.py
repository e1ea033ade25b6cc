"""The training job."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from mentor.jobs.handler import JobContext, Stopped
from mentor.reach.own import RETRIEVER_VARIABLE, SANDBOX_VARIABLE
from mentor_trainer.alarms import Watch
from mentor_trainer.config import TrainSpec
from mentor_trainer.events import TrainEvent
from mentor_trainer.lifecycle.keeper import RESULTS
from mentor_trainer.methods import METHODS
from mentor_trainer.output import kept
from mentor_trainer.preflight import check_spec
from mentor_trainer.run import run_training


class TrainJob:
    """Trains a student.

    ``output_dir`` of the spec is not used: checkpoints live in the job's work folder, from which another attempt goes
    on. Artefacts: ``model`` (Hugging Face format), ``metrics.jsonl`` and ``rollouts`` of the last attempt,
    and ``train.log``, the end of what the last attempt's process printed, however it ended. The result has ``step``,
    ``total_steps``, ``seconds`` and the last step's metrics.
    """

    kind: ClassVar[str] = "train"
    Spec: ClassVar[type[BaseModel]] = TrainSpec

    def validate(self, spec: TrainSpec) -> None:
        """Read model and questions before the job is accepted."""
        # A job writes to its work folder; where a run from the command line would write need not exist here.
        check_spec(with_services(spec).model_copy(update={"output_dir": tempfile.gettempdir()}), here=False)

    def run(self, spec: TrainSpec, context: JobContext) -> dict[str, Any]:
        spec = with_services(spec).model_copy(update={"output_dir": str(context.workdir)})
        attempt = context.workdir / "attempts" / f"{context.attempt:04d}"
        context.progress(0.0, "starting verl" if METHODS.get(spec.algorithm).on_verl else "starting")
        last: dict[str, float] = {}
        calls: Counter[str] = Counter()
        watch = Watch()

        def report(event: TrainEvent) -> None:
            last.update(event.metrics)
            calls.update({name: int(event.metrics.get(f"{name}_calls", 0)) for name in ("sandbox", "retriever")})
            context.count("mentor_training_steps")
            for alarm in watch.see(event):
                context.count("mentor_training_alarms", alarm=alarm.name)
                context.log(f"alarm at step {alarm.step}: {alarm.message}. To try: {alarm.advice}", alarm=alarm.name)
            context.progress(
                event.fraction,
                event.message,
                step=event.step,
                total=event.total_steps,
                phases=event.phases,
                **event.metrics,
            )

        with kept(attempt, context) as output:

            def should_stop() -> bool:
                output.renew()  # this is asked at every tick
                return context.should_stop()

            result = run_training(spec, attempt, report, should_stop=should_stop)
        context.save()
        if result.model is None:
            raise Stopped
        context.commit("model", result.model)
        self._commit_records(context, attempt)
        return {
            "step": result.step,
            "total_steps": result.total_steps,
            "seconds": result.seconds,
            "metrics": last,
            "best_step": result.best.step if result.best else None,
            "ended_early": result.early,
            "tool_calls_by_backend": dict(calls),
        }

    def _commit_records(self, context: JobContext, attempt: Path) -> None:
        if (attempt / "metrics.jsonl").is_file():
            context.commit("metrics.jsonl", attempt / "metrics.jsonl")
        if (context.workdir / RESULTS).is_file():
            context.commit(RESULTS, context.workdir / RESULTS)
        if (attempt / "rollouts").is_dir():
            context.commit("rollouts", attempt / "rollouts")


def with_services(spec: TrainSpec) -> TrainSpec:
    """The spec with this deployment's sandbox and retriever where it names none."""
    found = {
        "sandbox_url": spec.sandbox_url or os.environ.get(SANDBOX_VARIABLE),
        "retriever_url": spec.retriever_url or os.environ.get(RETRIEVER_VARIABLE),
    }
    return spec.model_copy(update=found)
