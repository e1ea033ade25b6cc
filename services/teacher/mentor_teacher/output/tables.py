"""Rows with nested, mixed values as parquet and JSON lines that ``datasets``, and so TRL, read back as they were.

Arguments and schemas are JSON columns: a struct column would give every call the arguments of all tools, most of them null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentor.data import atomic_path, write_text

Row = dict[str, Any]
MESSAGES, TEXTS, TOOLS, TEXT, NUMBER = "messages", "texts", "tools", "text", "number"
"""Kinds of columns."""


def write_table(rows: Sequence[Row], columns: dict[str, str], path: Path) -> None:
    """Write parquet with the features that ``datasets`` understands, atomically."""
    import pyarrow.parquet as pq
    from datasets import Dataset

    features = _features(columns)
    # An empty data set has no rows to take a form from.
    data = Dataset.from_list(list(rows), features=features) if rows else Dataset.from_dict(
        {name: [] for name in columns}, features=features
    )  # fmt: skip
    with atomic_path(path) as temporary:
        pq.write_table(data.data.table, temporary, compression="zstd")


def write_lines(rows: Sequence[Row], path: Path) -> None:
    """Write JSON lines, keys without a value left out, atomically."""
    write_text(path, "".join(json.dumps(_lean(row), ensure_ascii=False) + "\n" for row in rows))


def _lean(value: Any, depth: int = 0) -> Any:
    """Without what is null in a row and in its messages; arguments and tools stay as they are."""
    if isinstance(value, dict) and depth <= 2:
        return {key: _lean(item, depth + 1) for key, item in value.items() if item is not None}
    if isinstance(value, list) and depth <= 1:
        return [_lean(item, depth + 1) for item in value]
    return value


def _features(columns: dict[str, str]) -> Any:
    from datasets import Features, Json, List, Value

    text = Value("string")
    function = {"name": text, "arguments": Json()}
    message = {
        "role": text, "content": text, "reasoning_content": text,
        "tool_calls": List({"id": text, "type": text, "function": function}), "tool_call_id": text, "name": text,
    }  # fmt: skip
    kinds = {
        MESSAGES: List(message), TEXTS: List({"role": text, "content": text}), TOOLS: List(Json()), TEXT: text,
        NUMBER: Value("float64"),
    }  # fmt: skip
    return Features({name: kinds[kind] for name, kind in columns.items()})
