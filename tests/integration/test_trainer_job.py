"""The training job as the job system runs it: a spec in, artefacts out."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mentor.errors import InfrastructureError, UserError
from mentor.jobs.handler import Stopped, load_handler, parse_spec
from mentor_trainer import output
from mentor_trainer.jobs import TrainJob
from tests.support.training import sft_values


class Context:
    """The part of ``JobContext`` that the handler uses."""

    def __init__(self, workdir: Path, stop_after: int | None = None, attempt: int = 1) -> None:
        self.workdir, self.attempt = workdir, attempt
        self.reports: list[tuple[float, dict[str, Any]]] = []
        self.committed: dict[str, Path] = {}
        self.saved = 0
        self._stop_after = stop_after

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None: ...

    def progress(self, fraction: float, message: str = "", **metrics: Any) -> None:
        self.reports.append((fraction, metrics))

    def should_stop(self) -> bool:
        steps = max((m.get("step", 0) for _, m in self.reports), default=0)
        return self._stop_after is not None and steps >= self._stop_after

    def log(self, line: str, **fields: Any) -> None: ...

    def save(self) -> None:
        self.saved += 1

    def commit(self, name: str, path: Path) -> None:
        assert path.exists()
        self.committed[name] = path


def spec_of(folder: Path, **changes: Any) -> dict[str, Any]:
    return {**sft_values(folder, total_steps=4), **changes}


def test_a_job_reports_steps_and_commits_the_model(tmp_path: Path) -> None:
    job = load_handler("mentor_trainer.jobs:TrainJob")
    spec: Any = parse_spec(job, spec_of(tmp_path))
    job.validate(spec)
    context: Any = Context(tmp_path / "work")
    result = job.run(spec, context)
    assert result["step"] == result["total_steps"] == 4 and result["metrics"]["loss"] > 0
    assert [f for f, m in context.reports if m] == [0.25, 0.5, 0.75, 1.0]
    assert context.committed["model"].joinpath("model.safetensors").is_file()
    assert {"metrics.jsonl", "train.log"} <= set(context.committed)
    assert not (tmp_path / "out" / "model").exists(), "a job writes to its own work folder"


def test_a_stopped_job_leaves_state_that_the_next_attempt_goes_on_from(tmp_path: Path) -> None:
    job, spec = TrainJob(), TrainJob.Spec.model_validate(spec_of(tmp_path, total_steps=400))
    first: Any = Context(tmp_path / "work", stop_after=1)
    with pytest.raises(Stopped):
        job.run(spec, first)  # type: ignore[arg-type]
    assert first.saved == 1 and set(first.committed) == {"train.log"}
    done = max(m.get("step", 0) for _, m in first.reports)
    second: Any = Context(tmp_path / "work", attempt=2)
    shorter = spec.model_copy(update={"total_steps": done + 2})
    job.run(shorter, second)  # type: ignore[arg-type]
    assert [m["step"] for _, m in second.reports if m][-1] == done + 2
    assert min(m["step"] for _, m in second.reports if m) > 1


def test_a_job_whose_process_was_killed_says_so_and_keeps_what_it_printed(tmp_path: Path) -> None:
    class Killing(Context):
        def progress(self, fraction: float, message: str = "", **metrics: Any) -> None:
            super().progress(fraction, message, **metrics)
            if metrics:
                (handle,) = self.workdir.glob("attempts/*/handle")
                os.kill(int(handle.read_text().split(":")[1]), signal.SIGKILL)

    context: Any = Killing(tmp_path / "work")
    with pytest.raises(InfrastructureError, match="the training process was killed"):
        TrainJob().run(TrainJob.Spec.model_validate(spec_of(tmp_path, total_steps=100_000)), context)  # type: ignore[arg-type]
    assert set(context.committed) == {"train.log"}
    assert "loss" in context.committed["train.log"].read_text()


def test_the_output_is_committed_anew_while_the_run_goes_on_and_never_grows_beyond_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(output, "_SHARE", 0.0)
    context: Any = Context(tmp_path)
    with output.kept(tmp_path, context) as running:
        running.renew()
        assert context.committed == {}, "nothing has been printed yet"
        (tmp_path / "train.log").write_text("\x1b[36m(TaskRunner pid=7)\x1b[0m starting\n")
        running.renew()
        assert context.committed["train.log"].read_text() == "(TaskRunner pid=7) starting\n"
        (tmp_path / "train.log").write_text("word " * output.KEPT_BYTES + "the end")
        running.renew()
    text = context.committed["train.log"].read_text()
    assert text.endswith("the end") and len(text) == output.KEPT_BYTES


def test_an_output_that_cannot_be_kept_hides_no_error(tmp_path: Path) -> None:
    class Full(Context):
        told: tuple[str, ...] = ()

        def commit(self, name: str, path: Path) -> None:
            raise UserError("the store is full")

        def log(self, line: str, **fields: Any) -> None:
            self.told += (line,)

    context: Any = Full(tmp_path)
    with pytest.raises(InfrastructureError, match="a rank was lost"), output.kept(tmp_path, context):
        (tmp_path / "train.log").write_text("starting")
        raise InfrastructureError("a rank was lost")
    assert context.told == ("the output of the run could not be kept: the store is full",)


def test_a_job_that_cannot_work_is_refused_before_it_is_accepted(tmp_path: Path) -> None:
    spec: Any = TrainJob.Spec.model_validate(spec_of(tmp_path, model="/no/such/model"))
    with pytest.raises(UserError) as refused:
        TrainJob().validate(spec)
    assert refused.value.field == "model"
