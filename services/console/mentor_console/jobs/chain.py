"""Chains: which jobs a spec draws on, and which draw on a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mentor.jobs.model import ARTIFACT_SCHEME
from mentor_console.jobs.directory import Found


def references(value: Any, field: str = "") -> Iterator[tuple[str, str, str]]:
    """(field, job, artefact) of every ``artifact:JOB/NAME`` in a spec."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from references(part, f"{field}.{name}" if field else str(name))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from references(part, f"{field}.{number}")
    elif isinstance(value, str) and value.startswith(ARTIFACT_SCHEME):
        job, _, name = value.removeprefix(ARTIFACT_SCHEME).partition("/")
        if job and name:
            yield field, job, name


def children(job_id: str, jobs: Iterable[Found]) -> list[tuple[Found, str]]:
    """Jobs whose specs name an artefact of this one, with its name."""
    return [(found, name) for found in jobs for _, parent, name in references(found.job.spec) if parent == job_id]
