"""Rows with nested, mixed values as parquet and JSON lines that ``datasets``, and so TRL, read back as they were.

Arguments and schemas are JSON columns: a struct column would give every call the arguments of all tools, most of them
null. Rows are written as they come, so that a large data set needs no more memory than a small one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mentor.data import atomic_path

Row = dict[str, Any]
Add = Callable[[Row], None]
MESSAGES, TEXTS, TOOLS, TEXT, NUMBER = "messages", "texts", "tools", "text", "number"
"""Kinds of columns."""
_CHUNK = 1000


@contextmanager
def table(path: Path, columns: dict[str, str]) -> Iterator[Add]:
    """Write parquet with the features that ``datasets`` understands; the file is there once the block has ended."""
    import pyarrow.parquet as pq
    from datasets import Dataset

    features = _features(columns)
    # What a data set without rows looks like is what says how rows are stored.
    schema = Dataset.from_dict({name: [] for name in columns}, features=features).data.table.schema
    waiting: list[Row] = []
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:

        def flush() -> None:
            if waiting:
                writer.write_table(Dataset.from_list(waiting, features=features).data.table)
                waiting.clear()

        def add(row: Row) -> None:
            waiting.append(row)
            if len(waiting) >= _CHUNK:
                flush()

        yield add
        flush()


@contextmanager
def lines(path: Path) -> Iterator[Add]:
    """Write JSON lines, keys without a value left out; the file is there once the block has ended."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:

        def add(row: Row) -> None:
            file.write(json.dumps(_lean(row), ensure_ascii=False) + "\n")

        yield add


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
