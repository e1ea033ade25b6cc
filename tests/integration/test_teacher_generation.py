"""A teacher's job from spec to data set: tools of an MCP server, samples until right, budgets, estimates, the command."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mentor.errors import UserError
from mentor_evaluator.matrix.draw import draw_matrix
from mentor_evaluator.matrix.job import prepare
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.runs import open_run
from mentor_teacher.commands import app
from mentor_teacher.commands.foreground import run_there
from mentor_teacher.jobs import TeacherJob
from mentor_teacher.spec import TeacherSpec
from tests.support.adding_server import MODEL as ADDER
from tests.support.chaos import Deployment
from tests.support.quiet import Quiet
from tests.support.rude_server import MODEL, Body, RudeServer, Says, call, chat, rude_server
from tests.support.service_process import ROOT, running_process
from tests.support.waiting import eventually

ADD = "docs__add"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = tmp_path_factory.mktemp("mcp") / "sandbox.json"
    command = [sys.executable, "-m", "tests.support.mcp_server", "stdio"]
    config.write_text(
        json.dumps({"mcp_servers": {"docs": {"command": command, "cwd": str(ROOT), "env": {"PYTHONPATH": str(ROOT)}}}})
    )
    with running_process("mentor_sandbox", "--config", str(config)) as service:
        eventually(lambda: service.get("/health").json()["mcp_servers"] == {"docs": "up"}, what="the MCP server is up")
        yield service.grpc


class Publishing(Quiet):
    """Keeps what is published."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.counts: dict[str, dict[str, str]] = {}

    def commit(self, name: str, path: Path) -> None: ...

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        self.counts[name] = labels


def number(body: Body) -> int:
    return int(body["messages"][0]["content"].split("Question: ")[1].split(" ")[0])


def adds(body: Body) -> Says:
    """Adds by the MCP server's tool; the result is the answer."""
    if body["messages"][-1]["role"] == "tool":
        return chat(f"\\boxed{{{body['messages'][-1]['content']}}}", reasoning_content="so it is")
    offered = [tool["function"]["name"] for tool in body["tools"]]
    assert ADD in offered and "multiply" in offered
    return chat(calls=[call(ADD, {"a": number(body), "b": 1})], reasoning_content="a sum")


def spec_for(server: RudeServer, tmp_path: Path, questions: int = 6, **fields: Any) -> dict[str, Any]:
    file = tmp_path / "questions.jsonl"
    rows = ({"id": f"q{n}", "question": f"{n} plus 1", "answers": [str(n + 1)]} for n in range(questions))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"model": {"url": server.url, "name": MODEL}, "questions": str(file), **fields}


async def job(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    return await asyncio.to_thread(TeacherJob().run, TeacherSpec.model_validate(spec), Publishing(folder))


async def test_tools_of_an_mcp_server_are_offered_called_and_written_with_their_schemas(
    tmp_path: Path, sandbox: str
) -> None:
    async with rude_server(adds) as server:
        spec = spec_for(server, tmp_path, sandbox_tools=[ADD], backends={"sandbox": sandbox})
        summary = await job(spec, tmp_path / "work")
        with pytest.raises(UserError, match=r"has no tool 'docs__sing'.*docs__add"):
            await job(spec | {"sandbox_tools": ["docs__sing"]}, tmp_path / "other")
    assert (summary["kept"], summary["tool_calls_by_backend"]) == (6, {"sandbox": 6})
    rows = [json.loads(line) for line in (tmp_path / "work" / "out" / "sft.jsonl").read_text().splitlines()]
    shown = {tool["function"]["name"]: tool["function"]["parameters"] for tool in rows[0]["tools"]}
    assert shown[ADD]["required"] == ["a", "b"] and "add" in shown
    [first] = [json.loads(line) for line in (tmp_path / "work" / "trajectories.jsonl").read_text().splitlines()][:1]
    assert [turn["reasoning"] for turn in first["turns"]] == ["a sum", "so it is"]
    assert all("a sum" not in turn["text"] for turn in first["turns"])


async def test_reasoning_goes_back_to_the_server_only_where_the_spec_says_so(tmp_path: Path, sandbox: str) -> None:
    sent: list[Any] = []

    def behave(body: Body) -> Says:
        if len(body["messages"]) > 1:
            sent.append(body["messages"][1].get("reasoning_content"))
        return adds(body)

    async with rude_server(behave) as server:
        spec = spec_for(server, tmp_path, questions=1, sandbox_tools=[ADD], backends={"sandbox": sandbox})
        await job(spec, tmp_path / "a")
        await job(spec | {"model": {**spec["model"], "send_reasoning": True}}, tmp_path / "b")
    assert sent == [None, "a sum"]


def right_at_the_second(server_asked: dict[str, int]) -> Any:
    def behave(body: Body) -> Says:
        n = number(body)
        server_asked[str(n)] = server_asked.get(str(n), 0) + 1
        usage = {"prompt_tokens": 60, "completion_tokens": 40}
        return chat(f"\\boxed{{{n + 1 if server_asked[str(n)] % 2 == 0 else -1}}}", usage=usage)

    return behave


async def test_a_question_is_asked_until_enough_are_right(tmp_path: Path) -> None:
    asked: dict[str, int] = {}
    async with rude_server(right_at_the_second(asked)) as server:
        spec = spec_for(server, tmp_path, samples=8, until_right=2, concurrency=4)
        summary = await job(spec, tmp_path / "work")
        again = await job(spec, tmp_path / "work")
    assert set(asked.values()) == {4} and summary["trajectories"] == 24
    assert summary["ends"]["right"] == summary["ends"]["wrong"] == 12 and summary["kept"] == 12
    assert again["ends"] == summary["ends"] and again["trajectories"] == 24


@pytest.mark.parametrize(("budget", "name"), [({"tokens": 1000}, "tokens"), ({"money": 1000 * 40 / 1e6 / 4}, "money")])
async def test_a_budget_ends_the_job_with_what_there_is_and_says_so(
    tmp_path: Path, budget: dict[str, float], name: str
) -> None:
    usage = {"prompt_tokens": 60, "completion_tokens": 40}
    async with rude_server(lambda body: chat(f"\\boxed{{{number(body) + 1}}}", usage=usage)) as server:
        spec = spec_for(server, tmp_path, questions=20, samples=2, concurrency=4, budget=budget, price_out=25.0)
        context = Publishing(tmp_path / "work")
        summary = await asyncio.to_thread(TeacherJob().run, TeacherSpec.model_validate(spec), context)
        resumed = await job(spec | {"budget": {}}, tmp_path / "work")
    assert (summary["stopped_by"], summary["trajectories"]) == (name, 10)
    assert summary["spent"]["prompt_tokens"] == 600 and summary["spent"]["generated_tokens"] == 400
    assert context.counts["mentor_budgets_used"] == {"budget": name}
    assert (resumed["stopped_by"], resumed["trajectories"]) == (None, 40)


async def test_prompts_take_turns_and_the_summary_says_which_works(tmp_path: Path) -> None:
    def behave(body: Body) -> Says:
        first = body["messages"][0]["content"]
        return chat("\\boxed{1}" if first.startswith("Add.") else "\\boxed{-1}")

    async with rude_server(behave) as server:
        prompts = [{"template": "Add. Question: {question}"}, {"template": "Question: {question}"}]
        summary = await job(spec_for(server, tmp_path, 1, samples=4, prompts=prompts), tmp_path / "work")
    assert [(p["samples"], p["right"]) for p in summary["prompts"]] == [(2, 2), (2, 0)]
    row = json.loads((tmp_path / "work" / "out" / "sft.jsonl").read_text().splitlines()[0])
    assert row["messages"][-2]["content"] == "Add. Question: 0 plus 1"


async def test_the_command_estimates_runs_and_goes_on(tmp_path: Path) -> None:
    async with rude_server(right_at_the_second({})) as server:
        file = tmp_path / "spec.yaml"
        file.write_text(yaml.safe_dump(spec_for(server, tmp_path, 10, samples=2, price_in=1.0)))

        async def mentor_teach(*arguments: str) -> tuple[int, str]:
            command = [sys.executable, "-m", "mentor.cli", "teach", "run", str(file), *arguments]
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=None
            )
            out, _ = await process.communicate()
            return process.returncode or 0, out.decode()

        code, said = await mentor_teach("--dry-run", "--probe-questions", "4")
        assert code == 0 and "estimate for 10 questions" in said and "1,200" in said, said
        asked = sum(server.asked.values())
        code, said = await mentor_teach("--output", str(tmp_path / "run"))
        assert code == 0 and "10 right, 10 wrong" in said, said
        assert sum(server.asked.values()) == asked + 20
        code, _ = await mentor_teach("--output", str(tmp_path / "run"))
        assert code == 0 and sum(server.asked.values()) == asked + 20
    summary = json.loads((tmp_path / "run" / "dataset" / "summary.json").read_text())
    assert summary["ends"]["right"] == 10 and summary["stopped_by"] is None


def test_the_command_names_the_field_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump({"model": {"url": "http://m:1", "name": "m"}, "questions": "q.jsonl"}))
    for arguments, told in (
        (("--set", "samples"), "--set 'samples' has no value"),
        (("--set", "budget.tokens=-1"), "budget.tokens"),
        (("--concurrency", "lots"), "concurrency"),
        ((), "q.jsonl"),
    ):
        done = CliRunner().invoke(app, ["run", str(file), *arguments])
        assert done.exit_code == 2 and told in done.output, done.output


def test_a_spec_is_estimated_and_run_as_a_job_with_its_files_sent_along(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deployment = Deployment(tmp_path / "stack", "teacher", ("mentor_teacher.jobs:TeacherJob",), latency_s=0.0)
    try:
        questions = tmp_path / "sums.jsonl"
        rows = ({"id": f"s{n}", "question": f"What is {n} + {n}?", "answers": [str(2 * n)]} for n in range(1, 21))
        questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
        values = {"model": {"url": deployment.url("model"), "name": ADDER}, "questions": str(questions)}
        spec = TeacherSpec.model_validate(values)
        assert run_there(spec.model_copy(update={"dry_run": 4}), deployment.url("service")) == 0
        assert "estimate for 20 questions" in capfd.readouterr().err
        assert run_there(spec, deployment.url("service")) == 0
        said = capfd.readouterr().err
    finally:
        deployment.close()
    assert "18 of 20 questions have references; 18 right, 2 wrong" in said  # it is wrong where 7 divides the number
    assert f"{20 * 2 * 50:,} prompt and {20 * 2 * 20:,} generated tokens" in said


async def test_an_evaluation_takes_replicas_adaptive_concurrency_and_prompts(tmp_path: Path) -> None:
    def behave(body: Body) -> Says:
        return chat(f"\\boxed{{{number(body) + 1}}}")

    async with rude_server(behave) as a, rude_server(behave) as b:
        rows = tmp_path / "rows.jsonl"
        rows.write_text(
            "".join(json.dumps({"id": f"q{n}", "question": f"{n} plus 1", "answer": n + 1}) + "\n" for n in range(40))
        )
        spec = EvaluationSpec.model_validate(
            {
                "models": [{"name": "m", "model": {"url": a.url, "name": MODEL, "replicas": [b.url]}}],
                "own": [{"name": "sums", "file": str(rows), "question": "question", "answers": "answer"}],
                "tools": "without", "concurrency": "auto", "samples": 2,
                "prompts": [{"template": "Question: {question}"}, {"template": "Add. Question: {question}"}],
            }
        )  # fmt: skip
        cells = prepare(spec, tmp_path / "run")
        assert await asyncio.to_thread(draw_matrix, spec, cells, tmp_path / "run", Quiet(tmp_path / "run"))
        assert min(len(a.trajectories), len(b.trajectories)) > 10
    [cell] = open_run(tmp_path / "run", "run").cells()
    assert len(cell.trajectories) == 80 and all(t.metadata["correct"] for t in cell.trajectories)
    assert {t.metadata["prompt"]["index"] for t in cell.trajectories if t.sample == 1} == {1}
