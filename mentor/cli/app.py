"""The ``mentor`` command. Heavy modules are imported by the commands that need them: ``mentor --help`` is quick."""

from __future__ import annotations

from importlib import metadata

import typer

from mentor.cli import analyse, data, experiment, grade, jobs, local, models, plugins, reward, trajectory

app = typer.Typer(
    help="Distil a large model's tool use into a small one (arXiv 2510.18383).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def root(context: typer.Context) -> None:
    """Every command is the root of a trace: whatever it causes in the services carries its id."""
    from mentor.rpc.tracing import client_trace, configure_tracing

    configure_tracing("cli")
    context.with_resource(client_trace(f"mentor {context.invoked_subcommand}"))


for name, part in (
    ("grade", grade.app),
    ("analyse", analyse.app),
    ("reward", reward.app),
    ("trajectory", trajectory.app),
    ("jobs", jobs.app),
    ("data", data.app),
    ("experiment", experiment.app),
):
    app.add_typer(part, name=name)
local.add_commands(app)
models.add_commands(app)
plugins.add_commands(app)
for command in sorted(metadata.entry_points(group="mentor.commands"), key=lambda entry: entry.name):
    app.add_typer(command.load(), name=command.name)  # those of the services that are installed here
