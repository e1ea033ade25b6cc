"""What a data set was made of and by: everything that a later reader has to know to make it again, or to doubt it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from mentor.data.provenance import code_digest, digest, questions_digest, tool_digests, versions
from mentor.rollout.prompts import USER_PROMPT
from mentor.trajectory import Frozen, Question
from mentor_teacher.select import Selected, Step

SCHEMA = 1


class Origin(Frozen):
    """Where a data set came from.

    ``kind``: ``job``, ``import`` or ``merge``. ``spec``: whole, keys excepted: specs name variables, never keys.
    ``inputs``: SHA-256 by file. ``server``: what the model server said of itself. ``merged``: the manifests of the parts,
    by their folder's name.
    """

    kind: str
    model: str
    spec: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    server: dict[str, Any] = Field(default_factory=dict)
    merged: dict[str, Any] = Field(default_factory=dict)
    rejected: int = 0


class Manifest(Frozen):
    """A data set's identity. ``filters``: every filter's count, in the order in which they ran.

    ``screened``: of those that dropped questions before anything was drawn.
    """

    schema_version: int = SCHEMA
    made: str
    origin: Origin
    versions: dict[str, str]
    code: str
    prompt: str
    tools: dict[str, str]
    questions: int
    questions_digest: str
    references_digest: str
    screened: tuple[Step, ...] = ()
    filters: tuple[Step, ...]
    fates: dict[str, int]
    splits: dict[str, int] = Field(default_factory=dict)


def make_manifest(
    origin: Origin,
    questions: Sequence[Question],
    selected: Selected,
    screened: Sequence[Step],
    splits: Mapping[str | None, Sequence[Question]],
) -> Manifest:
    """The manifest of a data set that is about to be written."""
    fates = {"kept": selected.kept, "surplus": selected.surplus, "lost": selected.lost, **selected.dropped}
    return Manifest(
        made=datetime.now(UTC).isoformat(timespec="seconds"), origin=origin, versions=versions("mentor-teacher"),
        code=code_digest("mentor_teacher"), prompt=USER_PROMPT, tools=tool_digests(questions), questions=len(questions),
        questions_digest=questions_digest(questions),
        references_digest=digest([q.model_dump(mode="json") for q in selected.questions]),
        screened=tuple(screened), filters=selected.steps, fates=fates,
        splits={name: len(part) for name, part in splits.items() if name is not None},
    )  # fmt: skip
