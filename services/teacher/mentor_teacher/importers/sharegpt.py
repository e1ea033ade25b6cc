"""ShareGPT: ``{"conversations": [{"from": "human", "value": ...}, ...]}``, with ``function_call`` and ``observation`` turns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mentor.trajectory import Question, Trajectory
from mentor_teacher.importers import Imported
from mentor_teacher.importers._conversations import OPTIONS, Message, converse, reading
from mentor_teacher.reading import Row, answers_of, read_rows, take_options

_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system",
    "observation": "tool", "tool": "tool", "function_call": "call", "tool_call": "call",
}  # fmt: skip


class _ShareGPT:
    name = "sharegpt"
    summary = "ShareGPT conversations, with function_call and observation turns"

    def read(self, path: Path, options: Mapping[str, str]) -> Imported:
        take_options(options, OPTIONS)
        how = reading(options)

        def read(row: Row, name: str) -> tuple[Question, Trajectory]:
            said = row.get("conversations")
            if not isinstance(said, list) or not said:
                raise ValueError("conversations is no list")
            return converse(name, _messages(said), answers_of(row), None, path.stem, row.get("tools"), how)

        questions, traces, rejected = read_rows(path, read)
        return Imported(questions=tuple(questions), trajectories=tuple(traces), rejected=tuple(rejected))


def _messages(said: list[Any]) -> list[Message]:
    messages: list[Message] = []
    for part in said:
        role = _ROLES.get(part.get("from", "")) if isinstance(part, dict) else None
        if role is None:
            raise ValueError(f"a turn is from {part.get('from') if isinstance(part, dict) else part!r}")
        value = str(part.get("value") or "")
        messages.append({"role": "assistant", "content": "", "tool_calls": _calls(value)} if role == "call" else {
            "role": role, "content": value,
        })  # fmt: skip
    return messages


def _calls(value: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError("a function_call is not JSON") from error
    calls = found if isinstance(found, list) else [found]
    if not all(isinstance(call, dict) for call in calls):
        raise ValueError("a function_call is no object")
    return [
        {"id": f"call_{n}", "function": {"name": call.get("name"), "arguments": call.get("arguments") or {}}}
        for n, call in enumerate(calls)
    ]


PLUGIN = _ShareGPT()
