"""What a job's trajectories show of it, though the job itself may not have failed: a tool that fails in every call, a model
that never saw its tools. Read from the index, of the newest trajectories alone."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

from mentor.errors import MentorError, NotFoundError
from mentor.jobs.model import Job
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Question, Termination, Trajectory
from mentor_console.index.stored import Stored, load, question_of
from mentor_console.jobs.causes import Cause, models, named, never_shown
from mentor_console.jobs.directory import small

_READ, _FEWEST, _MOST = 100, 3, 10
_OF_THE_MODEL = ("invalid_arguments", "unknown_tool", "malformed_call")
_CHARACTERS_PER_TOKEN = 12
"""More than any text of JSON has: tools with more characters than that per token of the prompt are not in the prompt."""


def shown_by(connection: sqlite3.Connection, folder: Path, job: Job, jobs: Collection[str] | None) -> list[Cause]:
    """Causes that the trajectories of a job (whom its reader may see) have in common."""
    read = list(_newest(connection, folder, job.id))
    if not read:
        return _by_figures(job)
    told = [stored.trajectory for stored in read if stored.trajectory is not None]
    broken = list(islice(_broken_tools(job, told), _MOST))
    return broken or _unused(job, told, question_of(connection, folder, read[0], job.spec, jobs))


def _newest(connection: sqlite3.Connection, folder: Path, job: str) -> Iterable[Stored]:
    """Trajectories of the arms that have tools, the newest ones, without those that were lost to outages."""
    rows = connection.execute(
        "SELECT key FROM trajectories WHERE job = ? AND arm NOT LIKE 'no-tools%' AND termination != ? ORDER BY id DESC LIMIT ?",
        (job, Termination.INFRASTRUCTURE, _READ),
    ).fetchall()
    for row in rows:
        try:
            stored = load(connection, folder, row[0])
        except NotFoundError:
            continue
        if stored.trajectory is not None:
            yield stored


def _broken_tools(job: Job, told: Iterable[Trajectory]) -> Iterable[Cause]:
    """Tools of which no call came back as it should, for reasons that are not the model's."""
    calls: Counter[str] = Counter()
    failures: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for seen in (seen for trajectory in told for turn in trajectory.turns for seen in turn.observations):
        if seen.error_type in _OF_THE_MODEL:
            continue
        calls[seen.name] += 1
        if not seen.ok:
            failures[seen.name][seen.error_type or "failed", small(seen.content)] += 1
    for name, why in failures.items():
        if calls[name] >= _FEWEST and why.total() == calls[name]:
            (kind, message), _ = why.most_common(1)[0]
            address = urlencode({"job": job.id, "tool": name, "error": kind}, errors="replace")
            yield Cause(
                f"The tool {small(name, 60)} failed in each of its {calls[name]} calls: {message}",
                f"{small(name, 60)} in {_file_of(job)}",
                "run it in the playground with the arguments of one of these calls, mend it, clone the job with the new file",
                (f"/trajectories?{address}", "These calls"),
            )


def _file_of(job: Job) -> str:
    """Where a tool is written; an evaluation's ``tools`` says which sides it has, and names no file."""
    if job.kind != "evaluation" and isinstance(job.spec.get("tools"), str):
        return named(job, "tools")
    return "the tools that the questions bring, or the sandbox has"


def _unused(job: Job, told: list[Trajectory], question: Question | None) -> list[Cause]:
    """Tools that the model never saw, or that nobody called."""
    size = _size_of_tools(job, question)
    if len(told) < _FEWEST or size == 0 or (size is None and job.spec.get("tools") == []):
        return []
    called = any(turn.tool_calls for trajectory in told for turn in trajectory.turns)
    # Where calls came, what a server counts is no proof against them; the ids of the prompt itself are: some call from habit.
    tokens = max((_prompt(trajectory, counted=not called) for trajectory in told), default=0)
    if size and tokens > 0 and tokens * _CHARACTERS_PER_TOKEN < size:
        return [never_shown(job, f"they have {size:,} characters, and no prompt has more than {tokens:,} tokens")]
    if called:
        return []
    return [
        Cause(
            f"None of the last {len(told)} trajectories called a tool, though tools were offered",
            f"the model, or the chat template of {models(job)}",
            "look at what it wrote: calls in a form that is not read stand there as text; or the template leaves tools out",
            (f"/trajectories?{urlencode({'job': job.id})}", "What it wrote"),
        )
    ]


def _prompt(trajectory: Trajectory, counted: bool) -> int:
    """Tokens of the first prompt, by its ids or (``counted``) as the server says; 0 where nobody does."""
    if trajectory.prompt_ids is not None:
        return len(trajectory.prompt_ids)
    return (trajectory.turns[0].prompt_tokens or 0) if counted and trajectory.turns else 0


def _size_of_tools(job: Job, question: Question | None) -> int | None:
    """Characters of the tools that a question offers in this job; None where that is not known here."""
    named_by_job = job.spec.get("tools")
    brings = question is not None and (question.tools is not None or question.func_schemas is not None)
    if question is None or (isinstance(named_by_job, str) and not brings):
        return None
    default = tuple(map(str, named_by_job)) if isinstance(named_by_job, list) else None
    try:
        return sum(len(json.dumps(tool.openai())) for tool in ToolRegistry(default=default).for_question(question))
    except MentorError:
        return None


def _by_figures(job: Job) -> list[Cause]:
    """What a training run's last step says, while its rollouts are not here."""
    step, used = job.metrics.get("step"), job.metrics.get("usage_rate")
    if job.kind != "train" or not isinstance(step, int) or step < 1 or used != 0 or job.spec.get("tools") == []:
        return []
    return [
        Cause(
            f"No rollout of step {step} called a tool", f"the student, or the chat template of {models(job)}",
            "check that its template renders tools, and that what it is trained from calls them; its curves show since when",
            (f"/training?job={job.id}", "Curves"),
        )
    ]  # fmt: skip
