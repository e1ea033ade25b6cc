"""``mentor eval``: one module per group of commands. Heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from mentor_evaluator.commands import comparing, exporting, published, running, scoring

app = typer.Typer(help="Benchmarks: run, score, compare, show.", no_args_is_help=True)
for module in (running, comparing, exporting, scoring):
    module.add_commands(app)
app.add_typer(published.app, name="published")
