"""The demo: the whole loop on the tiny world, on real services, with a report at the end."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from mentor.analysis import executed_by_backend
from mentor.data.files import read_mapping
from mentor.errors import InfrastructureError
from mentor.local.accounting import scrape
from mentor.local.chain import collect, finish
from mentor.local.distill import Chain, DistillSpec, Outcome, ServiceUrls, parse_distill, with_sampling
from mentor.local.layout import ModelServer, StackSpec, example_path
from mentor.local.memory import MemoryWatch
from mentor.local.progress import follow
from mentor.local.stack import down, up
from mentor.local.summary import Evaluations

TEACHER = "teacher"
_COUNTERS = {"sandbox": "mentor_sandbox_calls_total", "retriever": "mentor_retriever_queries_total"}


def demo_specs(*, full: bool, seed: int, output: Path, stack: StackSpec) -> tuple[DistillSpec, StackSpec]:
    """The demo's chain and stack: ``examples/tiny/demo.yaml``, with ``full`` also its further arms."""
    teacher = ModelServer(name=TEACHER, path=str(example_path(f"checkpoints/{TEACHER}")))
    stack = stack.model_copy(update={"models": (teacher,)})
    values = read_mapping(example_path("demo.yaml"))
    if not full:
        values.pop("arms", None)
    spec = parse_distill(values, example_path("."))
    model = {"url": f"http://127.0.0.1:{teacher.port + stack.port_offset}", "name": TEACHER}
    urls = ServiceUrls(**{name: stack.url(name) for name in ("teacher", "trainer", "evaluator")})
    train = {**spec.train, "sandbox_url": stack.target("sandbox"), "retriever_url": stack.target("retriever")}
    changes = {
        "seed": seed,
        "output": str(output.resolve()),
        "services": urls,
        "teacher": {**spec.teacher, "model": {**spec.teacher.get("model", {}), **model}},
        "train": train,
        "evaluate": with_sampling(spec.evaluate, seed=seed),
    }
    return spec.model_copy(update=changes), stack


def run_demo(spec: DistillSpec, stack: StackSpec, console: Console) -> dict[str, Any]:
    """Bring the stack up, run the chain, write the report, take the stack down; returns the summary.

    Raises:
        MentorError: a stage failed; the stack is down then, too.
    """
    started = time.monotonic()
    console.print(f"starting services in {stack.folder}")
    up(stack, report=lambda line: console.print(f"  {line}", style="dim"))
    ready = time.monotonic() - started
    watch = MemoryWatch(stack)
    watch.start()
    try:
        before = {name: scrape(stack.url(name), counter) for name, counter in _COUNTERS.items()}
        chain = Chain(spec, lambda client, job, label: follow(client, job, label, console))
        outcome = chain.run()
        counted = {name: scrape(stack.url(name), counter) - before[name] for name, counter in _COUNTERS.items()}
        summary, evaluations = collect(outcome, chain)
    finally:
        peak = watch.stop()
        down(stack)
    summary["accounting"] = account(outcome, evaluations, counted)
    summary["seconds"] |= {"start": round(ready, 1), "total": round(time.monotonic() - started, 1)}
    summary["peak_memory_bytes"] = peak
    finish(summary, outcome, console)
    return summary


def account(outcome: Outcome, evaluations: Evaluations, counted: dict[str, float]) -> dict[str, Any]:
    """The services' own counts of tool calls beside those of the trajectories.

    Raises:
        InfrastructureError: they differ though no trajectory was lost.
    """
    expected = calls_of_run(outcome, evaluations)
    accounting = {name: {"metrics": int(counted[name]), "trajectories": expected[name]} for name in sorted(counted)}
    drawn = [*evaluations.sampled.values(), *evaluations.greedy.values()]
    whole = not any(trajectory.failed for trajectories in drawn for trajectory in trajectories)
    if whole and any(entry["metrics"] != entry["trajectories"] for entry in accounting.values()):
        raise InfrastructureError(f"the services' metrics do not account for the run's tool calls: {accounting}")
    return accounting


def calls_of_run(outcome: Outcome, evaluations: Evaluations) -> Counter[str]:
    """Tool calls of every trajectory of the run, by backend, training rollouts included."""
    total: Counter[str] = Counter()
    for trajectories in (*evaluations.sampled.values(), *evaluations.greedy.values()):
        total += executed_by_backend(trajectories)
    for label, stage in outcome.stages.items():
        if label.startswith(("teacher", "draw ", "train ")):
            total += Counter((stage.job.result or {}).get("tool_calls_by_backend", {}))
    return total
