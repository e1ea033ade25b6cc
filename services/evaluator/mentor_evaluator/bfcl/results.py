"""Results in the official shape: one JSON line per entry, one file per category, in the official folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mentor.chat.hermes import MALFORMED, split_reasoning
from mentor.data.files import check_readable, write_text
from mentor.errors import UserError
from mentor.trajectory import Trajectory, Turn
from mentor_evaluator.bfcl.categories import (
    ALL,
    FORMAT_SENSITIVITY,
    LIVE,
    MEMORY,
    MULTI_TURN,
    WEB_SEARCH,
    Mode,
    category_of,
)

ERROR_PREFIX = "Error during inference: "


def step_result(turn: Turn, mode: Mode) -> Any:
    """One step: ``[{name: arguments as JSON}]`` where it calls in function-calling mode, else its text."""
    if mode == "prompt" or not turn.tool_calls:
        return split_reasoning(turn.text)[1].strip()
    return [
        {call.name or MALFORMED: call.raw if call.error is not None else json.dumps(call.arguments)}
        for call in turn.tool_calls
    ]


def error_result(error: str | None) -> str:
    """What stands in for a result that there is none of; the official scorer knows the words."""
    return f"{ERROR_PREFIX}{error or 'unknown'}"


def record(
    entry_id: str, result: Any, trajectories: Sequence[Trajectory], termination: str, mode: Mode
) -> dict[str, Any]:
    """A line of a result file. ``latency`` in seconds: a number, or one list per user turn."""
    several = isinstance(result, list) and bool(result) and isinstance(result[0], list)
    seconds = [round(trajectory.duration_s, 3) for trajectory in trajectories]
    latency: Any = [[second] for second in seconds] if several else sum(seconds)
    return {"id": entry_id, "result": result, "latency": latency, "termination": termination, "mode": mode}


def result_path(category: str, prerequisite: bool = False) -> Path:
    """Where a category's results lie below a model's folder."""
    name = f"BFCL_v4_{category}{'_prereq' if prerequisite else ''}_result.json"
    if category in MEMORY:
        return Path("agentic") / "memory" / category.removeprefix("memory_") / name
    groups = {**dict.fromkeys(MULTI_TURN, "multi_turn"), **dict.fromkeys(WEB_SEARCH, "agentic")}
    live = category in LIVE or category.startswith("live_")
    plain = FORMAT_SENSITIVITY if category == FORMAT_SENSITIVITY else "live" if live else "non_live"
    return Path(groups.get(category, plain)) / name


def write_results(records: Iterable[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write records as official result files below a model's folder, sorted by number; the files written."""
    files: dict[Path, list[Mapping[str, Any]]] = {}
    for row in records:
        files.setdefault(folder / result_path(category_of(row["id"]), "_prereq" in row["id"]), []).append(row)
    for path, rows in files.items():
        lines = (json.dumps(row, ensure_ascii=False) for row in sorted(rows, key=_number))
        write_text(path, "".join(f"{line}\n" for line in lines))
    return sorted(files)


def _number(row: Mapping[str, Any]) -> int:
    return int(row["id"].split(":")[0].rsplit("_", 1)[1].split("-")[0])


def read_results(path: Path) -> list[dict[str, Any]]:
    """Records of one result file, or of all below a folder; those of memory prerequisites are left out, as they score nothing.

    Raises:
        UserError: there is none, or a line is no record of BFCL v4 (named with its number).
    """
    if path.is_dir():
        files = sorted(path.rglob("BFCL_v4_*_result.json"))
        if not files:
            raise UserError(f"{path} holds no BFCL_v4_*_result.json", field="results", allowed="official result files")
    else:
        check_readable(path, "results")
        files = [path]
    rows = [row for file in files for row in _read(file)]
    _check_unique(rows)
    return rows


def _read(file: Path) -> Iterable[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            row = _parse(line, f"{file}:{number}") if line.strip() else None
            if row is not None and "_prereq" not in row["id"]:
                yield row


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is not JSON: {error.msg}", field="results") from error
    shape = '{"id": "simple_python_0", "result": ...}'
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or "result" not in row:
        raise UserError(f"{where} is no result", field="results", allowed=shape)
    if category_of(row["id"]) not in ALL:
        raise UserError(f"{where}: {row['id']!r} is no id of BFCL v4", field="results", allowed=shape)
    return row


def _check_unique(rows: Sequence[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    for row in rows:
        if row["id"] in seen:
            raise UserError(f"the id {row['id']!r} occurs twice", field="results", allowed="the files of one model")
        seen.add(row["id"])


def mode_of(rows: Iterable[Mapping[str, Any]]) -> Mode:
    """The mode that results were drawn in: what they say, or else how their calls are written.

    Raises:
        UserError: they were drawn in both.
    """
    known = list(rows)
    said = {row["mode"] for row in known if "mode" in row}
    if len(said) > 1:
        raise UserError("results of both modes are mixed", field="results", allowed="the files of one model and mode")
    if said:
        return "fc" if said == {"fc"} else "prompt"
    return "fc" if any(_holds_objects(row["result"]) for row in known) else "prompt"


def _holds_objects(result: Any) -> bool:
    if isinstance(result, list):
        return any(isinstance(part, dict) or _holds_objects(part) for part in result)
    return False
