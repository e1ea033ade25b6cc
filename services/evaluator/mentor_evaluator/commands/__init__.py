"""``mentor eval``: one module per group of commands. Heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from mentor_evaluator.commands import published, running

app = typer.Typer(help="Benchmarks: run, score, compare, show.", no_args_is_help=True)
running.add_commands(app)
app.add_typer(published.app, name="published")
