"""inspect-ai on the benchmark's server: prints the seconds between its log's start and end. For an interpreter that has it."""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import datetime
from typing import Any

TEXT = "Question: Anna has {n} red eggs and 3 blue eggs. How many eggs are there in total?"


def main() -> None:
    port, count, in_flight = (int(text) for text in sys.argv[1:])
    os.environ |= {"LOCAL_BASE_URL": f"http://127.0.0.1:{port}/v1", "LOCAL_API_KEY": "none", "INSPECT_DISPLAY": "none"}
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate, use_tools
    from inspect_ai.tool import tool

    @tool
    def add() -> Any:
        async def execute(firstNumber: float, secondNumber: float) -> str:
            """Add two numbers.

            Args:
                firstNumber: one.
                secondNumber: the other.
            """
            return str(firstNumber + secondNumber)

        return execute

    samples = [Sample(input=TEXT.format(n=n), target="5") for n in range(count)]
    task = Task(dataset=samples, solver=[use_tools(add()), generate()], scorer=includes())
    with tempfile.TemporaryDirectory() as folder:
        (log,) = eval(
            task, model="openai-api/local/fixed", max_connections=in_flight, max_samples=in_flight, log_dir=folder,
            log_level="error",
        )  # fmt: skip
    assert log.status == "success", log.error
    started, ended = (datetime.fromisoformat(text) for text in (log.stats.started_at, log.stats.completed_at))
    print((ended - started).total_seconds())


if __name__ == "__main__":
    main()
