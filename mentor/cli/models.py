"""``mentor chat``: talk to a model with its tools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from mentor.cli.lines import clear_errors
from mentor.trajectory import Trajectory

if TYPE_CHECKING:
    from mentor.rollout.connect import ModelSource, ToolBackends


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the root."""
    app.command()(chat)


def chat(
    model: Annotated[
        str, typer.Argument(help="a Hugging Face model folder, or NAME@URL of an OpenAI-compatible server")
    ],
    question: Annotated[list[str] | None, typer.Option("--ask", help="ask this and end; may be repeated")] = None,
    tools: Annotated[str | None, typer.Option(help="a tools.py to offer in place of the math tools")] = None,
    search: Annotated[bool, typer.Option("--search", help="offer wikipedia_search too")] = False,
    temperature: Annotated[float, typer.Option(min=0, max=10)] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1)] = 1024,
    sandbox: Annotated[str, typer.Option(envvar="MENTOR_SANDBOX_TARGET")] = "127.0.0.1:50051",
    retriever: Annotated[str, typer.Option(envvar="MENTOR_RETRIEVER_TARGET")] = "127.0.0.1:50052",
) -> None:
    """Talk to a model: it calls tools in the sandbox (`mentor up` starts one). Each question stands alone."""
    from mentor.rollout.connect import ModelSource, ToolBackends

    with clear_errors():
        name, at, url = model.rpartition("@")
        source = ModelSource(url=url, name=name) if at and url.startswith("http") else ModelSource(path=model)
        backends = ToolBackends(sandbox=sandbox, retriever=retriever, deadline_s=10)
        asyncio.run(_chat(source, backends, question, tools, search, temperature, max_tokens))


async def _chat(
    source: ModelSource,
    backends: ToolBackends,
    asked: list[str] | None,
    tools: str | None,
    search: bool,
    temperature: float,
    max_tokens: int,
) -> None:
    from mentor.inference import SamplingParams
    from mentor.rollout import RolloutLimits, rollout
    from mentor.rollout.connect import open_policy, open_toolsets, registry_for
    from mentor.trajectory import Question

    console = Console()
    registry = registry_for(tools)
    sampling = SamplingParams(temperature=temperature, max_tokens=max_tokens)
    limits = RolloutLimits(max_response_tokens=8 * max_tokens)
    async with open_policy(source) as policy, open_toolsets(backends, registry) as toolset_for:
        offered = [spec.name for spec in registry.for_question(Question(id="chat", question=""))]
        offered += ["wikipedia_search"] if search else []
        for text in asked or _prompts(console):
            question = Question(id="chat", question=text, tools=tuple(offered))
            _show(console, await rollout(question, policy, toolset_for(question), limits, sampling))


def _prompts(console: Console) -> Iterator[str]:
    console.print("[dim]Ask a question; an empty line or Ctrl-D ends.[/dim]")
    while True:
        try:
            text = console.input("[bold]> [/bold]").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if not text:
            return
        yield text


def _show(console: Console, trajectory: Trajectory) -> None:
    for turn in trajectory.turns:
        for call, seen in zip(turn.tool_calls, turn.observations, strict=False):
            arguments = ", ".join(f"{k}={v!r}" for k, v in call.arguments.items())
            colour = "green" if seen.ok else "red"
            console.print(f"  [cyan]{escape(call.name or 'malformed call')}({escape(arguments)})[/cyan]")
            console.print(f"  [{colour}]→ {escape(seen.content)}[/{colour}]")
        if not turn.tool_calls:
            console.print(escape(turn.text.strip()))
    if trajectory.error:
        console.print(f"[red]{escape(trajectory.error)}[/red]")
    elif trajectory.termination != "answered":
        console.print(f"[yellow]no answer: {trajectory.termination}[/yellow]")
