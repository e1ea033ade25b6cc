"""Artefacts on this side: which of a job's hold trajectories or questions, and how they come out of what was downloaded."""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mentor.jobs.model import Artifact, Job
from mentor_console.index.facts import Origin

_FOLDERS = {"run", "rollouts"}
_FILES = {"trajectories.jsonl", "references.jsonl"}
_CELL = re.compile(r"(?:.*/)?cells/([^/]+)/([^/]+)/([^/]+)/(trajectories|questions)\.jsonl")
_STEP = re.compile(r"(?:.*/)?step_(\d{1,9})\.jsonl")


@dataclass(frozen=True)
class Fetched:
    """A file that has come. ``member``: its name inside the artefact, "" where it is the artefact."""

    path: Path
    member: str
    content: Literal["trajectories", "questions"]
    origin: Origin


def wanted(artifact: Artifact) -> bool:
    """Whether an artefact may hold what the index shows."""
    return artifact.name in _FOLDERS or artifact.name in _FILES


def unpack(job: Job, artifact: Artifact, download: Path, folder: Path) -> Iterator[Fetched]:
    """The files of a download, moved into ``folder`` under names of ours: what an archive calls them names no path here."""
    if artifact.name in _FILES:
        path = folder / artifact.name
        download.replace(path)
        content: Literal["trajectories", "questions"] = (
            "questions" if artifact.name.startswith("references") else "trajectories"
        )
        yield Fetched(path, "", content, _origin(job))
        return
    try:
        with tarfile.open(download) as archive:
            for number, member in enumerate(archive):
                found = _recognized(job, member.name) if member.isfile() and not member.issparse() else None
                body = archive.extractfile(member) if found else None
                if found is None or body is None:
                    continue
                path = folder / f"{number:06d}.jsonl"
                with path.open("wb") as target:
                    shutil.copyfileobj(body, target, 1 << 20)
                yield Fetched(path, member.name, *found)
    finally:
        download.unlink()


def _recognized(job: Job, name: str) -> tuple[Literal["trajectories", "questions"], Origin] | None:
    if cell := _CELL.fullmatch(name):
        model, suite, arm, content = cell.groups()
        origin = Origin(job.id, job.kind, model=model, suite=suite, arm=arm)
        return ("questions" if content == "questions" else "trajectories"), origin
    if step := _STEP.fullmatch(name):
        return "trajectories", Origin(job.id, job.kind, model=_model(job.spec), step=int(step[1]))
    return None


def _origin(job: Job) -> Origin:
    suite = job.spec.get("suite")
    return Origin(job.id, job.kind, model=_model(job.spec), suite=suite if isinstance(suite, str) else "")


def _model(spec: Mapping[str, Any]) -> str:
    """What a spec calls its model, where the trajectories do not say."""
    model = spec.get("model")
    if isinstance(model, dict):
        model = model.get("name") or model.get("path") or model.get("url")
    return str(model or "")[:200]
