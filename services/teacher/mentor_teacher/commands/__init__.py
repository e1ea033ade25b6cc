"""``mentor teach``: data sets of tool use. Heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from mentor_teacher.commands.importing import import_

app = typer.Typer(help="Data sets of tool use: import.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Data sets of tool use."""


app.command("import")(import_)
