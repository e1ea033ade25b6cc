"""The MENTOR/ReCall training schema in parquet, read and written.

Columns: ``data_source, question, ability, reward_model {style, ground_truth[]}, extra_info {id, index, env, func_schemas},
tool_calls_used``. On reading, every structured field may be a JSON string instead. Beyond the published columns,
``extra_info.references`` keeps several references with arguments, ``extra_info.tools`` the built-in tools offered, and
``extra_info.pass_rate`` the share of the teacher's samples that were right (``metadata.pass_rate``), for curricula.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from mentor.data.files import atomic_path
from mentor.errors import UserError
from mentor.tools import MATH_SOURCE, MATH_TOOLS
from mentor.trajectory import CallSignature, Question, Reference

_STRINGS = pa.list_(pa.string())
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("question", pa.string()),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", _STRINGS)])),
        (
            "extra_info",
            pa.struct(
                [
                    ("id", pa.string()),
                    ("index", pa.int64()),
                    ("env", pa.string()),
                    ("func_schemas", pa.string()),
                    ("tools", pa.string()),
                    ("references", pa.string()),
                    ("category", pa.string()),
                    ("metadata", pa.string()),
                    ("pass_rate", pa.float64()),
                ]
            ),
        ),
        ("tool_calls_used", pa.string()),
    ]
)


def write_parquet(questions: Sequence[Question], path: str | Path) -> None:
    """Write questions with their references in the published schema, atomically."""
    rows = [_to_row(question, index) for index, question in enumerate(questions)]
    with atomic_path(Path(path)) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary)


def _to_row(question: Question, index: int) -> dict[str, Any]:
    schemas = question.func_schemas
    if question.env is None and schemas is None:
        # Readers of the published schema know no built-in tools: give them source and schemas.
        offered = [t for t in MATH_TOOLS if question.tools is None or t.name in question.tools]
        schemas, env = tuple(t.openai() for t in offered), MATH_SOURCE
    else:
        env = question.env or ""
    names = [name for reference in question.references[:1] for name in reference.tool_names]
    return {
        "data_source": question.data_source,
        "question": question.question,
        "ability": question.ability,
        "reward_model": {"style": "rule", "ground_truth": list(question.answers)},
        "extra_info": {
            "id": question.id,
            "index": index,
            "env": env,
            "func_schemas": json.dumps(schemas),
            "tools": json.dumps(question.tools) if question.env is None else None,
            "references": json.dumps([r.model_dump() for r in question.references]),
            "category": question.category,
            "metadata": json.dumps(question.metadata),
            "pass_rate": question.metadata.get("pass_rate"),
        },
        "tool_calls_used": json.dumps(names),
    }


def read_parquet(path: Path, field: str = "questions") -> list[Question]:
    """Read questions.

    Raises:
        UserError: not parquet, a column is missing, or a row is malformed (with its number).
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is not a parquet file: {str(error).splitlines()[0]}", field=field) from error
    missing = [name for name in ("question", "reward_model") if name not in table.column_names]
    if missing:
        allowed = ", ".join(SCHEMA.names)
        raise UserError(f"{path} lacks the column {missing[0]!r}", field=field, allowed=f"the columns {allowed}")
    questions = []
    for number, row in enumerate(table.to_pylist()):
        try:
            questions.append(from_row(row, number))
        except (ValidationError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: row {number} is malformed: {_first_line(error)}", field=field) from error
    return questions


def from_row(row: dict[str, Any], number: int) -> Question:
    """One row of the published schema as a ``Question``."""
    reward = _structured(row.get("reward_model")) or {}
    extra = _structured(row.get("extra_info")) or {}
    answers = _structured(reward.get("ground_truth"), strings=True)
    tools = _structured(extra.get("tools"))
    env = extra.get("env") or None
    schemas = _structured(extra.get("func_schemas"))
    identifier = extra.get("id")
    return Question(
        id=str(identifier if identifier is not None else extra.get("index", number)),
        question=row["question"],
        answers=tuple(map(str, answers if isinstance(answers, list) else [answers])),
        references=_references(row, extra, answers),
        tools=None if tools is None else tuple(tools),
        env=None if tools is not None else env,
        func_schemas=None if tools is not None or not schemas else tuple(_structured(s) for s in schemas),
        data_source=row.get("data_source") or "mentor",
        ability=row.get("ability") or "math",
        category=extra.get("category"),
        metadata=_structured(extra.get("metadata")) or {},
    )


def _references(row: dict[str, Any], extra: dict[str, Any], answers: Any) -> tuple[Reference, ...]:
    kept = _structured(extra.get("references"))
    if kept is not None:
        return tuple(Reference.model_validate(_structured(reference)) for reference in kept)
    names = _structured(row.get("tool_calls_used"))
    if names is None:
        return ()
    # Published rows keep only trajectories whose answer equals the ground truth: it is the teacher's answer too.
    answer = str(answers[0] if isinstance(answers, list) else answers) if answers else None
    return (Reference(answer=answer, tool_calls=tuple(CallSignature(name=str(n)) for n in names)),)


def _structured(value: Any, *, strings: bool = False) -> Any:
    """Decode a field that may be a JSON string. With ``strings``, text that is no JSON list stays text."""
    if not isinstance(value, str):
        return value
    if strings and not value.lstrip().startswith("["):
        return value
    if strings:
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value  # an answer such as "[0, 1)"
    return json.loads(value) if value.strip() else None


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
