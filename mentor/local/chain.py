"""``mentor distill``: run a chain on services that are up already, and report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from mentor.data import write_text
from mentor.local.distill import Chain, DistillSpec, Outcome
from mentor.local.progress import follow
from mentor.local.report import write_report
from mentor.local.summary import Evaluations, summarize
from mentor.local.table import print_table


def run_distill(spec: DistillSpec, console: Console) -> dict[str, Any]:
    """Run the chain, bring its results to ``spec.output``, write the report; returns the summary.

    Raises:
        UserError: a spec was refused, naming the field.
        InfrastructureError: a job failed or a service stayed away.
    """
    started = time.monotonic()
    chain = Chain(spec, lambda client, job, label: follow(client, job, label, console))
    outcome = chain.run()
    summary = collect(outcome, chain)[0]
    summary["seconds"]["total"] = round(time.monotonic() - started, 1)
    finish(summary, outcome, console)
    return summary


def collect(outcome: Outcome, chain: Chain) -> tuple[dict[str, Any], Evaluations]:
    """Fetch trajectories and step metrics of a finished chain, and summarise them."""
    output = Path(outcome.spec.output)
    evaluations = Evaluations(outcome, chain.client("evaluate"), output)
    fetch_training(outcome, chain, output)
    summary = summarize(evaluations, seed=outcome.spec.seed)
    summary |= {
        "seeds": {"chain": outcome.spec.seed, "train": outcome.spec.train.get("seed", outcome.spec.seed)},
        "jobs": {label: stage.job.id for label, stage in outcome.stages.items()},
        "seconds": {label: round(stage.seconds, 1) for label, stage in outcome.stages.items()},
    }
    return summary, evaluations


def fetch_training(outcome: Outcome, chain: Chain, output: Path) -> None:
    """Bring each arm's step metrics to the output folder."""
    client = chain.client("train")
    for arm in outcome.arms:
        job = outcome.stages[f"train {arm}"].job
        if any(artifact.name == "metrics.jsonl" for artifact in client.artifacts(job.id)):
            client.fetch(job.id, "metrics.jsonl", output / "training" / f"{arm}.jsonl")


def finish(summary: dict[str, Any], outcome: Outcome, console: Console) -> None:
    """Write ``summary.json`` and ``report.html``, and print the table."""
    output = Path(outcome.spec.output)
    write_text(output / "summary.json", json.dumps(summary, indent=2) + "\n")
    report = write_report(summary, outcome, output)
    print_table(summary, console)
    console.print(f"\nreport: {report}\nsummary: {output / 'summary.json'}")
