"""What a run was: everything that a later reader, or a comparison with another run, has to know. Written first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from mentor.data.provenance import code_digest, questions_digest, tool_digests, versions
from mentor.rollout.prompts import USER_PROMPT
from mentor.trajectory import Frozen
from mentor_evaluator.matrix.plan import Cell
from mentor_evaluator.matrix.spec import EvaluationSpec

SCHEMA = 1
PACKAGES = ("mentor-evaluator", "bfcl-eval")
CODE = "mentor_evaluator"


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
        versions=versions(*PACKAGES),
        code=code_digest(CODE),
        prompt=USER_PROMPT,
        spec=spec.model_dump(mode="json"),
        suites={
            name: SuiteFacts(
                questions=len(item.loaded.questions),
                skipped=item.loaded.skipped,
                data=item.loaded.sources,
                questions_digest=questions_digest(item.loaded.questions),
                scorer=item.suite.scorer,
                tools=tool_digests(item.loaded.questions),
            )
            for name, item in planned.items()
        },
    )
