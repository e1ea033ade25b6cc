"""Why a job does not work, in a line: what, where, and what to do; from its error, and from what its trajectories show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mentor.errors import UserError
from mentor.jobs.model import Job, JobState
from mentor.trajectory import Observation, ToolCall, Trajectory, Turn
from mentor_console.index.facts import Origin
from mentor_console.index.ingest import Writing, ingest, ingest_questions
from mentor_console.index.schema import connect, prepare
from mentor_console.jobs.causes import causes_of
from mentor_console.jobs.evidence import shown_by
from mentor_console.jobs.form import fields_of, place_of
from mentor_teacher.spec import TeacherSpec
from tests.support.committed import write_lines

APPENDED = "model: the chat template renders an appended conversation differently from a whole one (allowed: a Qwen2.5)"
NOTHING = "model: none of 12 trajectories gave a right answer that the filters keep: nothing to learn from (wrong 12)"


def job(kind: str = "teacher", **fields: Any) -> Job:
    made = {"id": "teacher-1", "kind": kind, "state": JobState.FAILED, "spec": {}, "created_at": 0.0, "started_at": 1.0}
    return Job.model_validate(made | fields)


@pytest.mark.parametrize(
    ("error", "spec", "what", "where", "todo"),
    [
        ("2 trajectories lost to infrastructure; the last: sandbox http://s:1: refused", {"backends": {"sandbox": "http://s:1"}},
         "sandbox does not answer", "backends.sandbox (http://s:1)", "Resume"),
        ("the sandbox, whose tools the suites offer: away", {}, "sandbox does not answer", "leaves to the deployment", "Home"),
        ("retriever 127.0.0.1:9: refused", {"retriever_url": "127.0.0.1:9"}, "retriever does not", "retriever_url", "Resume"),
        ("cannot reach the model server http://m:1: refused", {"model": {"url": "http://m:1"}}, "http://m:1 does not answer",
         "model.url", "start it"),
        (APPENDED, {"model": {"path": "/models/x"}}, "template leaves out tool calls", "model.path (/models/x)", "Qwen"),
        ("model: the chat template leaves out tools: the model would never see add", {"model": {"path": "/models/x"}},
         "never saw its tools", "model.path (/models/x)", "renders tools"),
        ("the tokenizer has no chat template", {"models": [{"model": {"path": "/y"}}]}, "no chat template",
         "models.0.model.path (/y)", "instruct"),
        ("a/tools.py:3: invalid syntax", {"tools": "a/tools.py"}, "invalid syntax", "line 3 of tools.py", "mend that line"),
        (NOTHING, {"model": {"url": "http://m:1"}, "questions": "q"}, "None of 12", "model.url (http://m:1)", "what it wrote"),
    ],
)  # fmt: skip
def test_an_error_says_what_where_and_what_to_do(
    error: str, spec: dict[str, Any], what: str, where: str, todo: str
) -> None:
    (cause,) = causes_of(job(error=error, spec=spec))
    assert what in cause.what and where in cause.where and todo in cause.todo


def test_an_error_that_says_it_all_is_left_as_it_is() -> None:
    assert causes_of(job(error="samples: 0 is too few")) == [] and causes_of(job()) == []


def told(number: int, *, calls: bool, ok: bool, tokens: int) -> dict[str, Any]:
    call = ToolCall(name="price", arguments={"of": "pen"}, id="c")
    seen = Observation(
        name="price",
        content="3" if ok else "Error: no key",
        call_id="c",
        ok=ok,
        error_type=None if ok else "tool_error",
    )
    turns = (Turn(text="", tool_calls=(call,), observations=(seen,)),) if calls else (Turn(text="7"),)
    made = Trajectory(question_id=f"q{number}", question="What?", turns=turns, prompt_ids=tuple(range(tokens)))
    return made.model_dump(mode="json", exclude_defaults=True)


def shown(folder: Path, lines: list[dict[str, Any]], kind: str = "teacher", **spec: Any) -> list[str]:
    """What the causes say that so many lines show, with a question that offers the built-in tools."""
    prepare(folder)
    connection = connect(folder)
    write_lines(folder / "t.jsonl", lines)
    write_lines(folder / "q.jsonl", [{"id": f"q{n}", "question": "What?", "answers": ["7"]} for n in range(9)])
    for number, name in enumerate(("t", "q")):
        connection.execute(f"INSERT INTO files VALUES ({number}, 'teacher-1', '', '', '', '{name}.jsonl', '')")
    with Writing(connection) as writing:
        ingest(writing, folder / "t.jsonl", 0, Origin("teacher-1", kind))
        ingest_questions(writing, folder / "q.jsonl", 1, "teacher-1")
    found = shown_by(connection, folder, job(kind, spec=spec), None)
    connection.close()
    return [f"{cause.what} | {cause.where} | {cause.link}" for cause in found]


def test_a_tool_that_fails_in_every_call_is_named_with_what_it_said(tmp_path: Path) -> None:
    lines = [told(n, calls=True, ok=False, tokens=2000) for n in range(4)]
    (said,) = shown(tmp_path, lines, tools="file:abc/tools.py")
    assert "price failed in each of its 4 calls: Error: no key" in said and "tools (file:abc/tools.py)" in said
    assert "/trajectories?job=teacher-1&tool=price&error=tool_error" in said


def test_a_tool_that_works_at_times_is_nobodys_fault(tmp_path: Path) -> None:
    lines = [told(n, calls=True, ok=n == 2, tokens=2000) for n in range(4)]
    assert shown(tmp_path, lines) == []


@pytest.mark.parametrize("calls", [True, False])
@pytest.mark.parametrize("kind", ["teacher", "train", "evaluation"])
def test_prompts_too_short_for_the_tools_show_that_the_template_left_them_out(
    tmp_path: Path, kind: str, calls: bool
) -> None:
    lines = [told(n, calls=calls, ok=True, tokens=30) for n in range(4)]
    spec: dict[str, Any] = {"model": "/models/m"} if kind == "train" else {"model": {"path": "/models/m"}}
    (said,) = shown(tmp_path, lines, kind, **spec)
    assert "never saw its tools" in said and "more than 30 tokens" in said and "(/models/m)" in said


@pytest.mark.parametrize("tools", [["add"], "file:abc/tools.py"])
def test_few_tools_and_tools_that_are_not_known_here_are_no_proof(tmp_path: Path, tools: list[str] | str) -> None:
    lines = [told(n, calls=True, ok=True, tokens=60) for n in range(4)]
    assert shown(tmp_path, lines, "train", tools=tools) == []


def test_a_model_that_saw_its_tools_and_called_none_is_told_apart(tmp_path: Path) -> None:
    (said,) = shown(tmp_path, [told(n, calls=False, ok=True, tokens=2000) for n in range(4)])
    assert "None of the last 4 trajectories called a tool" in said


def test_a_training_run_whose_rollouts_are_not_here_is_read_by_its_figures(tmp_path: Path) -> None:
    prepare(tmp_path)
    connection = connect(tmp_path)
    for used, expected in ((0.0, 1), (0.2, 0)):
        found = shown_by(connection, tmp_path, job("train", metrics={"step": 3, "usage_rate": used}), None)
        assert len(found) == expected
    connection.close()


def test_an_error_of_a_file_stands_at_the_field_that_names_it() -> None:
    fields = fields_of(TeacherSpec.model_json_schema())
    digest = "a" * 64
    error = UserError("/store/x/tools.py:3: invalid syntax", field=f"/store/files/{digest}/tools.py")
    assert place_of(fields, error, {"tools": f"file:{digest}/tools.py"}) == "tools"
    assert place_of(fields, error, {"tools": f"file:{'b' * 64}/tools.py"}) == ""
    assert (
        place_of(fields, UserError("", field="/a/tools.py"), {"questions": "/a/q", "tools": "/a/tools.py"}) == "tools"
    )
    assert place_of(fields, error) == ""
