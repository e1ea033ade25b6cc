"""A progress bar over a job."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mentor.jobs.client import JobClient
from mentor.jobs.model import Job


def new_progress(console: Console | None = None) -> Progress:
    """Bars as every command shows them."""
    return Progress(
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}"),
        console=console,
    )


def follow(client: JobClient, job: Job, label: str, console: Console | None = None) -> Job:
    """Show a job's progress until it ends; returns it as it ended."""
    with new_progress(console) as bars:
        bar = bars.add_task(label, total=1.0, message="")

        def show(now: Job) -> None:
            bars.update(bar, completed=now.progress, message=now.message or str(now.state))

        return client.wait(job.id, show)
