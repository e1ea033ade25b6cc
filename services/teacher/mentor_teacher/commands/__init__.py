"""``mentor teach``: data sets of tool use. Heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from mentor_teacher.commands.exporting import export
from mentor_teacher.commands.importing import import_
from mentor_teacher.commands.inspecting import inspect
from mentor_teacher.commands.merging import merge
from mentor_teacher.commands.running import run

app = typer.Typer(help="Data sets of tool use: run, import, inspect, export, merge.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Data sets of tool use."""


app.command("run")(run)
app.command("import")(import_)
app.command("inspect")(inspect)
app.command("export")(export)
app.command("merge")(merge)
