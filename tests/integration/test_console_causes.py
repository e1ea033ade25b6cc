"""What a tool that fails in every call says stands on its job's page: as text, whatever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.hostile_text.cases import MEGABYTE, PAYLOADS
from tests.hostile_text.markup import faults
from tests.support.committed import browser, committed_jobs, gathered, write_lines

AWAY = {f"MENTOR_CONSOLE_{name}_URL": "http://127.0.0.1:9" for name in ("TRAINER", "EVALUATOR")}

TOOLS = 10


def failed(number: int, payload: str) -> dict[str, Any]:
    """What came back of a tool whose name and words are an attack."""
    return {"name": f"{number}{payload[:200]}", "content": payload, "ok": False, "error_type": "tool_error"}


def test_what_a_broken_tool_says_is_text(tmp_path: Path) -> None:
    with committed_jobs(tmp_path, services=("teacher",)) as jobs:
        ids, payloads = [], [*PAYLOADS.values(), MEGABYTE]
        for first in range(0, len(payloads), TOOLS):
            part = payloads[first : first + TOOLS]
            turn = {"text": "", "tool_calls": [], "observations": list(map(failed, range(len(part)), part))}
            lines = [{"question_id": f"q{n}", "sample": n, "question": "?", "turns": [turn]} for n in range(3)]
            path = write_lines(tmp_path / "made" / f"{first}.jsonl", lines)
            spec = {"model": {"name": "m"}, "tools": part[0][:500]}
            ids.append((jobs.job("teacher", {"trajectories.jsonl": path}, spec), len(part)))
        console = jobs.console(**AWAY)
        gathered(console, 3 * len(ids))
        with browser(console) as client:
            for job, number in ids:
                page = client.get(f"/jobs/{job}").text
                assert not faults(page), (job, faults(page))
                assert page.count("in each of its 3 calls") == page.count('class="box error cause"') == number
                assert len(page) < 200_000
