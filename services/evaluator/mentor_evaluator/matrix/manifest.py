"""What a run was: everything that a later reader, or a comparison with another run, has to know. Written first."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import Field

from mentor.rollout.prompts import USER_PROMPT
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Frozen, Question
from mentor_evaluator.matrix.plan import Cell
from mentor_evaluator.matrix.spec import EvaluationSpec

SCHEMA = 1
_PACKAGES = ("mentor", "mentor-evaluator", "math-verify", "bfcl-eval", "torch", "transformers", "numpy")


class SuiteFacts(Frozen):
    """A suite as it was run. ``data``: SHA-256 by file. ``questions_digest``: of the questions with their tools."""

    questions: int
    skipped: tuple[str, ...]
    data: dict[str, str]
    questions_digest: str
    scorer: str
    tools: dict[str, str]


class Manifest(Frozen):
    """A run's identity. ``spec`` is whole, keys excepted: specs name variables, never keys."""

    schema_version: int = SCHEMA
    versions: dict[str, str]
    code: str
    prompt: str
    spec: dict[str, Any]
    suites: dict[str, SuiteFacts]
    servers: dict[str, dict[str, Any]] = Field(default_factory=dict)


def make_manifest(spec: EvaluationSpec, cells: Sequence[Cell]) -> Manifest:
    """The manifest of a run that is about to start."""
    planned = {cell.planned.name: cell.planned for cell in cells}
    return Manifest(
        versions=versions(),
        code=code_digest(),
        prompt=USER_PROMPT,
        spec=spec.model_dump(mode="json"),
        suites={
            name: SuiteFacts(
                questions=len(item.loaded.questions),
                skipped=item.loaded.skipped,
                data=item.loaded.sources,
                questions_digest=digest([question.model_dump(mode="json") for question in item.loaded.questions]),
                scorer=item.suite.scorer,
                tools=tool_digests(item.loaded.questions),
            )
            for name, item in planned.items()
        },
    )


def versions() -> dict[str, str]:
    """Versions of what takes part, where installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def code_digest() -> str:
    """SHA-256 over this project's own sources: two runs with one digest ran the same code."""
    import mentor
    import mentor_evaluator

    total = hashlib.sha256()
    for package in (mentor, mentor_evaluator):
        root = Path(str(package.__file__)).parent
        for file in sorted(root.rglob("*.py")):
            total.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return total.hexdigest()


def tool_digests(questions: Sequence[Question]) -> dict[str, str]:
    """SHA-256 of every tool offered, by name: its schema and source. Tools of questions' own under ``NAME (own)``."""
    registry, found = ToolRegistry(), {}
    for question in questions:
        own = question.func_schemas is not None
        for tool in registry.for_question(question):
            name = f"{tool.name} (own)" if own else tool.name
            if name not in found:
                found[name] = digest(tool.model_dump(mode="json"))
    return found


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
