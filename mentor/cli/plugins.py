"""``mentor list``: what can be named in a spec, built in or brought by an installed package."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mentor.cli.lines import clear_errors
from mentor.plugins.seams import seam, seams


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the root."""
    app.command("list")(list_plugins)


def list_plugins(
    kind: Annotated[str | None, typer.Argument(help="one kind, such as judge; all where left out")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines in place of a table")] = False,
) -> None:
    """List what a spec can name: judges, suites, importers, filters, methods ... and where each comes from."""
    with clear_errors():
        registries = [seam(kind)] if kind else list(seams().values())
        rows = [item for registry in registries for item in registry.listing()]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row.model_dump()))
        return
    widths = [max((len(getattr(row, column)) for row in rows), default=0) for column in ("seam", "name", "origin")]
    for row in rows:
        cells = (row.seam.ljust(widths[0]), row.name.ljust(widths[1]), row.origin.ljust(widths[2]))
        typer.echo("  ".join((*cells, row.summary if row.problem is None else f"cannot be used: {row.problem}")))
