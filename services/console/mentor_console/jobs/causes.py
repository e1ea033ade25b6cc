"""What is wrong with a job, where, and what to do: what its error says, in the words of somebody who has to mend it.

The services name what went wrong; a page that is read by whoever submitted the job adds the field of the spec, and the
next step. An error that is not known here is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from mentor.jobs.model import Job
from mentor_console.jobs.directory import small

TEMPLATE = "The model's chat template leaves out tool calls and what came back, or writes them anew with every turn"
UNAPPENDABLE = re.compile(r"renders an appended conversation differently")
UNPARSED = re.compile(r"(?P<file>[^\s:/]+\.py):(?P<line>\d+): (?P<reason>[^()]+)")
_RESUME = "then Resume: what was drawn is kept"


@dataclass(frozen=True)
class Cause:
    """One line. ``where``: a field of the spec, or a place; ``link``: an address that helps, and its name.

    ``vague``: what the job's trajectories show says more, where they show something.
    """

    what: str
    where: str
    todo: str
    link: tuple[str, str] | None = None
    vague: bool = False


def causes_of(job: Job) -> list[Cause]:
    """What a failed job's error means; empty where it has none, or one that says it all by itself."""
    error = job.error or ""
    for pattern, explain in _KNOWN:
        if found := pattern.search(error):
            return [explain(job, found)]
    return []


def leaves(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """(field, text) of every text of a spec."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from leaves(part, f"{field}.{name}" if field else str(name))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from leaves(part, f"{field}.{number}")
    elif isinstance(value, str) and value:
        yield field, value


def named(job: Job, *ends: str) -> str:
    """The fields of a spec that end so, with what they say; the first of ``ends`` where none is set."""
    found = [
        f"{name} ({text})"
        for name, text in leaves(job.spec)
        if name in ends or name.endswith(tuple(f".{e}" for e in ends))
    ]
    return small(", ".join(found), 300) or f"{ends[0]}, which the spec leaves to the deployment"


def models(job: Job) -> str:
    """The folders and servers whose template makes the prompts."""
    return named(job, "model.path", "model.tokenizer", "model.url", *(("model",) if job.kind == "train" else ()))


def _service(job: Job, found: re.Match[str]) -> Cause:
    service = found["service"]
    return Cause(
        f"The {service} does not answer, so no tool of it can run",
        named(job, f"backends.{service}", f"{service}_url"),
        f"look on Home whether the {service} is ready and start it, or clone the job with another address; {_RESUME}",
        ("/#services", "Services"),
    )


def _server(job: Job, found: re.Match[str]) -> Cause:
    return Cause(
        f"The model server at {found['url']} does not answer", named(job, "model.url", "url"),
        f"start it, or clone the job with the address under which the job's worker reaches it; {_RESUME}",
    )  # fmt: skip


def _template(job: Job, found: re.Match[str]) -> Cause:
    return Cause(
        TEMPLATE,
        f"the chat template of {models(job)}",
        "clone the job with a model whose template renders tools (Qwen2.5, Qwen3 or Hermes style), or put such a "
        "chat_template.jinja into its folder",
    )


def never_shown(job: Job, why: str) -> Cause:
    """The template leaves the tools out."""
    return Cause(
        f"The model never saw its tools: {why}",
        f"the chat template of {models(job)}",
        "give the model a chat template that renders tools (chat_template.jinja in its folder; of a server, what it was "
        "started with), and clone the job",
    )


def _hidden(job: Job, found: re.Match[str]) -> Cause:
    return never_shown(job, "its chat template leaves them out, and no system prompt names them")


def _no_template(job: Job, found: re.Match[str]) -> Cause:
    return Cause(
        "The model has no chat template: it is no chat model", models(job),
        "clone the job with a chat or instruct model, or put a chat_template.jinja into its folder",
    )  # fmt: skip


def _file(job: Job, found: re.Match[str]) -> Cause:
    return Cause(
        f"The tools cannot be read: {found['reason']}",
        f"line {found['line']} of {found['file']}, which {named(job, 'tools')} names",
        "mend that line, and clone the job with the mended file",
    )


def _nothing_learnt(job: Job, found: re.Match[str]) -> Cause:
    return Cause(
        f"None of {found['number']} answers was right and kept: {found['why']}",
        f"the model ({models(job)}), its tools ({named(job, 'tools')}), or the filters",
        "read what it wrote, and why each was dropped; then clone the job with what is at fault mended",
        (f"/trajectories?{urlencode({'job': job.id})}", "Its trajectories"),
        vague=True,
    )


_KNOWN: tuple[tuple[re.Pattern[str], Callable[[Job, re.Match[str]], Cause]], ...] = (
    (UNAPPENDABLE, _template),
    (re.compile(r"the chat template leaves out tools"), _hidden),
    (re.compile(r"has no chat template"), _no_template),
    (re.compile(r"none of (?P<number>\d+) trajectories gave a right answer.*?\((?P<why>[^()]*)\)"), _nothing_learnt),
    (re.compile(r"cannot reach the model server (?P<url>\S+?)(?=:? |:?$)"), _server),
    (re.compile(r"\b(?P<service>sandbox|retriever)\b(?= \S+: |, whose tools| cannot be reached| does not answer)"), _service),
    (UNPARSED, _file),
)  # fmt: skip
