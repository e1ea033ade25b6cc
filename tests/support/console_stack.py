"""A small real stack for the console: services, workers, a sandbox, and a model server that calls tools and mostly knows."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mentor.jobs.model import JobState
from mentor.reach.own import SANDBOX_VARIABLE
from tests.support.committed import CommittedJobs
from tests.support.openai_server import Reply, openai_server, said
from tests.support.service_process import ROOT, ServiceProcess, environment

QUESTIONS = ROOT / "services" / "console" / "mentor_console" / "static" / "first_questions.jsonl"
MODEL = "scripted"


def known() -> dict[str, str]:
    """Answers of the first steps' questions, by their text."""
    rows = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    return {row["question"]: row["answers"][0] for row in rows}


def answer(body: dict[str, Any]) -> Reply:
    """Calls ``add`` once where that is offered, then answers: wrong where a question's length is a multiple of 4."""
    messages = body["messages"]
    text = next(str(m["content"]) for m in reversed(messages) if m["role"] == "user")
    usage = {"usage": {"prompt_tokens": 50, "completion_tokens": 20}}
    if any(tool["function"]["name"] == "add" for tool in body.get("tools") or ()) and messages[-1]["role"] != "tool":
        numbers = [int(n) for n in re.findall(r"\d+", text)[:2]] or [1, 2]
        call = {"firstNumber": numbers[0], "secondNumber": numbers[-1]}
        made = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": json.dumps(call)}}
        message = {"role": "assistant", "content": "I add the numbers.", "tool_calls": [made]}
        return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], **usage}
    seen = str(messages[-1]["content"]) if messages[-1]["role"] == "tool" else "7"
    right = next((value for question, value in known().items() if question in text), seen)
    return said(f"It is \\boxed{{{right if len(text) % 4 else '-1'}}}.", **usage)


class ConsoleStack(CommittedJobs):
    """With workers, a sandbox and a model."""

    def __init__(self, folder: Path, model: str) -> None:
        self.model, self.sandbox = model, ServiceProcess("mentor_sandbox")
        super().__init__(folder, env={SANDBOX_VARIABLE: self.sandbox.http})
        self.workers = [self.worker("teacher", "mentor_teacher.jobs:TeacherJob")]
        self.workers.append(
            self.worker("evaluation", "mentor_evaluator.matrix.job:EvaluationJob", "mentor_evaluator.jobs:EvaluateJob")
        )

    def worker(self, name: str, *handlers: str) -> subprocess.Popen[bytes]:
        """A worker of these handlers."""
        named = [part for handler in handlers for part in ("--handler", handler)]
        command = [sys.executable, "-m", "mentor.jobs.worker", "--name", name, *named]
        env = environment(self.jobs_env)
        with (self.folder / f"worker-{name}.log").open("wb") as log:
            return subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)

    def opened(self, **more: str) -> ServiceProcess:
        """A console that knows all of it."""
        models = json.dumps({MODEL: self.model})
        return self.console(MENTOR_CONSOLE_SANDBOX_URL=self.sandbox.http, MENTOR_CONSOLE_MODELS=models, **more)

    def trained(self, steps: int = 40, end: bool = True) -> str:
        """A training job's events as a trainer reports them."""
        spec = {"model": "student", "algorithm": "grpo", "reward": "mentor", "save_freq": 10}
        claim = self.claimed("train", spec)
        job = claim.job
        for step in range(1, steps + 1):
            share = step / steps
            figures = {
                "reward": 0.2 + 0.5 * share, "correctness": 0.1 + 0.6 * share, "alignment": 0.4 + 0.3 * share,
                "validation": 0.9, "usage_rate": 0.8, "invalid_rate": 0.3 - 0.2 * share, "kl": 0.01 * step,
                "entropy": 1.2 - share, "response_length": 200 + 3 * step, "step_seconds": 12.0,
            }  # fmt: skip
            metrics = {"step": step, "total": steps, "phases": {"gen": 8.0 - share, "update_actor": 3.0}, **figures}
            told = {"fraction": share, "message": f"step {step}/{steps}", "metrics": metrics}
            self.store.record(job.id, claim.fence, "progress", told, progress=share, metrics=metrics)
            if step == steps // 2:
                alarm = {
                    "message": f"alarm at step {step}: entropy fell. To try: raise it",
                    "alarm": "entropy_collapse",
                }
                self.store.record(job.id, claim.fence, "log", alarm)
        if end:
            self.store.finish(
                job.id, claim.fence, JobState.SUCCEEDED, result={"step": steps, "total_steps": steps, "best_step": 30}
            )
        return job.id

    def close(self) -> None:
        for worker in self.workers:
            worker.terminate()
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self.sandbox.stop()
        super().close()


@contextmanager
def served_model() -> Iterator[str]:
    """The model server's URL."""
    ready, stop, url = threading.Event(), threading.Event(), []

    async def serve() -> None:
        async with openai_server(answer) as address:
            url.append(address)
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield url[0]
    finally:
        stop.set()
        thread.join(10)


@contextmanager
def console_stack(folder: Path) -> Iterator[ConsoleStack]:
    """For the duration of the block."""
    os.makedirs(folder, exist_ok=True)
    with served_model() as model:
        made = ConsoleStack(folder, model)
        try:
            yield made
        finally:
            made.close()
