"""inspect-ai's own loader opens what we export: ``make inspect-proof`` installs it in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mentor_evaluator.exports import EXPORTERS
from mentor_evaluator.measures.reading import report_of
from tests.support.written_run import write_run

PYTHON = Path(__file__).parents[2] / ".venv-inspect" / "bin" / "python"
READ = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log
logs = [read_eval_log(info) for info in list_eval_logs(sys.argv[1])]
print(json.dumps([
    [log.eval.task, log.eval.model, log.status, len(log.samples), log.results.scores[0].metrics["accuracy"].value,
     sum(s.scores["math_response"].value == "C" for s in log.samples), log.samples[0].messages[1].tool_calls[0].function]
    for log in logs
]))
"""


def test_inspects_loader_reads_every_log(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("inspect-ai is not installed: make inspect-proof")
    rows = [[n % 2 == 0, True] for n in range(10)]
    run = write_run(tmp_path / "run", {"m/gsm8k/tools": rows, "m/svamp/tools": rows})
    EXPORTERS.get("inspect").export(run, tmp_path / "logs")
    done = subprocess.run([PYTHON, "-c", READ, str(tmp_path / "logs")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = sorted(json.loads(done.stdout.splitlines()[-1]))
    mean = report_of(run).cells["m/gsm8k/tools"].accuracy.mean
    assert found == [[f"{suite}/tools", "m", "success", 20, mean, 15, "add"] for suite in ("gsm8k", "svamp")]
