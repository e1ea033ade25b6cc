"""A small job for tests: counts to ``steps``, keeping its count in the work folder, and leaves processes behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from mentor.data.files import write_text
from mentor.errors import InfrastructureError, UserError
from mentor.jobs.handler import JobContext, Stopped
from mentor.rpc.context import TRACE_HEADER, outgoing, trace_id_of


class ToySpec(BaseModel):
    """``trail`` gets a line for every step done: a step done twice would show."""

    model_config = ConfigDict(extra="forbid")

    steps: int = Field(default=3, ge=1, le=1000)
    seconds: float = 0.02
    trail: str = ""
    daemons: bool = False
    fail: str = ""
    fail_at: int = 0
    """The first attempt fails at this step."""
    refuse: bool = False
    gpus: int = 0
    span: str = ""
    """A file that gets a line when the job begins to work, with its devices, and one when it ends."""


class ToyJob:
    kind: ClassVar[str] = "toy"
    Spec: ClassVar[type[BaseModel]] = ToySpec

    def validate(self, spec: ToySpec) -> None:
        if spec.refuse:
            raise UserError("refuse is set", field="refuse", allowed="false")

    def run(self, spec: ToySpec, context: JobContext) -> dict[str, Any]:
        if spec.fail == "user":
            raise UserError("the path is wrong", field="model")
        if spec.fail == "bug":
            raise RuntimeError("a bug")
        if spec.fail == "infrastructure":
            raise InfrastructureError("the sandbox is gone")
        if spec.daemons:
            leave_daemons()
        note(spec.span, f"begin {self.kind} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
        counter = context.workdir / "count"
        journal = (context.workdir / "journal").open("a", buffering=1)  # held open, as a log or a checkpoint is
        done = int(counter.read_text()) if counter.exists() else 0
        while done < spec.steps:
            if context.should_stop():
                raise Stopped
            time.sleep(spec.seconds)
            if context.attempt == 1 and done + 1 == spec.fail_at:
                raise InfrastructureError("the sandbox is gone")
            done += 1
            write_text(counter, str(done))
            journal.write(f"{context.attempt} {done}\n")
            if spec.trail:
                with open(spec.trail, "a") as trail:
                    trail.write(f"{context.attempt} {done}\n")
            context.progress(done / spec.steps, f"step {done}", done=done)
        if spec.span:
            Path(f"{spec.span}.trace").write_text(trace_id_of(outgoing().get(TRACE_HEADER, "")))
        note(spec.span, f"end {self.kind} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
        print("counted", done, flush=True)
        result = context.workdir / "result.txt"
        result.write_text(f"{done}\n")
        context.commit("result.txt", result)
        return {"count": done, "attempt": context.attempt}


class ToyTeacher(ToyJob):
    kind: ClassVar[str] = "toyteacher"


class ToyTrainer(ToyJob):
    kind: ClassVar[str] = "toytrainer"


class ToyEvaluator(ToyJob):
    kind: ClassVar[str] = "toyevaluator"


def note(file: str, line: str) -> None:
    if file:
        with open(file, "a") as trail:
            trail.write(f"{line}\n")


def leave_daemons() -> None:
    """Two sleepers in sessions of their own, one of them orphaned: what Ray's daemons do."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    subprocess.Popen(sleeper, start_new_session=True)
    code = f"import subprocess; subprocess.Popen({sleeper!r}, start_new_session=True)"
    subprocess.run([sys.executable, "-c", code], start_new_session=True, check=True)


def steps_in(trail: Path) -> list[int]:
    """Steps in the order in which they were done."""
    return [int(line.split()[1]) for line in trail.read_text().splitlines()] if trail.exists() else []
