"""What a tool that fails in every call says stands on its job's page: as text, whatever it is."""

from __future__ import annotations

from pathlib import Path

from tests.hostile_text.cases import MEGABYTE, PAYLOADS
from tests.integration.test_console_hostile import faults
from tests.support.committed import browser, committed_jobs, gathered, write_lines

AWAY = {f"MENTOR_CONSOLE_{name}_URL": "http://127.0.0.1:9" for name in ("TRAINER", "EVALUATOR")}


def test_what_a_broken_tool_says_is_text(tmp_path: Path) -> None:
    with committed_jobs(tmp_path, services=("teacher",)) as jobs:
        ids = []
        for number, payload in enumerate((*PAYLOADS.values(), MEGABYTE)):
            seen = {"name": payload[:200] or "x", "content": payload, "ok": False, "error_type": "tool_error"}
            turn = {"text": "", "tool_calls": [{"name": "x", "arguments": {}}], "observations": [seen]}
            lines = [{"question_id": f"q{n}", "sample": n, "question": "?", "turns": [turn]} for n in range(3)]
            path = write_lines(tmp_path / "made" / f"{number}.jsonl", lines)
            ids.append(
                jobs.job("teacher", {"trajectories.jsonl": path}, {"model": {"name": "m"}, "tools": payload[:500]})
            )
        console = jobs.console(**AWAY)
        gathered(console, 3 * len(ids))
        with browser(console) as client:
            for job in ids:
                page = client.get(f"/jobs/{job}").text
                assert not faults(page), (job, faults(page))
                assert "in each of its 3 calls" in page and page.count('class="box error cause"') == 1
                cause = page[page.index('class="box error cause"') :]
                assert len(cause[: cause.index("</p>")]) < 6000
