"""``mentor trajectory``: look at trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from mentor.cli.lines import clear_errors
from mentor.data import iter_trajectories
from mentor.errors import UserError
from mentor.trajectory import Trajectory

app = typer.Typer(help="Look at trajectories.", no_args_is_help=True)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="trajectories.jsonl; standard input if left out")] = Path("/dev/stdin"),
    question: Annotated[str | None, typer.Option(help="only this question's id")] = None,
    limit: Annotated[int, typer.Option(min=1, help="at most this many")] = 5,
    failed: Annotated[bool, typer.Option("--failed", help="only those with a failing call or no answer")] = False,
) -> None:
    """Print trajectories turn by turn: text, calls, observations, termination."""
    console = Console()
    shown = 0
    with clear_errors():
        for trajectory in iter_trajectories(file):
            if (question is None or trajectory.question_id == question) and (not failed or _went_wrong(trajectory)):
                _show(console, trajectory)
                shown += 1
                if shown == limit:
                    break
        if not shown:
            raise UserError(f"{file} holds no such trajectory", field="question")


def _went_wrong(trajectory: Trajectory) -> bool:
    return trajectory.answer is None or any(not o.ok for o in trajectory.observations)


def _show(console: Console, trajectory: Trajectory) -> None:
    title = f"{trajectory.question_id} sample {trajectory.sample} · {trajectory.model or ''} · {trajectory.termination}"
    lines = [f"[bold]{escape(trajectory.question)}[/bold]"]
    for number, turn in enumerate(trajectory.turns, start=1):
        lines.append(f"\n[cyan]turn {number}[/cyan] {escape(turn.text)}")
        for call, seen in zip(turn.tool_calls, turn.observations, strict=False):
            colour = "green" if seen.ok else "red"
            lines.append(f"  [{colour}]{escape(call.name or '?')} → {escape(seen.content)}[/{colour}]")
    verdict = trajectory.metadata.get("correct")
    mark = {True: " [green]right[/green]", False: " [red]wrong[/red]"}.get(verdict, "")  # type: ignore[arg-type]
    lines.append(f"\nanswer: {escape(str(trajectory.answer))}{mark}")
    console.print(Panel("\n".join(lines), title=escape(title), title_align="left"))
