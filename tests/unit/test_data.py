"""Question sets and trajectories on disk: every accepted shape, round trips, and errors that name the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mentor.data import atomic_path, iter_trajectories, read_questions, write_questions, write_trajectories
from mentor.data.parquet import write_parquet
from mentor.errors import UserError
from mentor.rollout.journal import Journal
from mentor.tools import MATH_SOURCE
from mentor.trajectory import CallSignature, Question, Reference, Trajectory, Turn

REFERENCES = (
    Reference(
        answer="5", tool_calls=(CallSignature(name="add", arguments={"firstNumber": 2, "secondNumber": 3}),), model="t"
    ),
    Reference(answer="5"),
)
OWN_TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}
QUESTIONS = [
    Question(
        id="a",
        question="2+3?",
        answers=("5",),
        tools=("add", "sqrt"),
        references=REFERENCES,
        category="sums",
        metadata={"kind": "add"},
    ),
    Question(
        id="b", question="f?", answers=("1", "one"), env="def f(): return 1", func_schemas=(OWN_TOOL,), ability="code"
    ),
]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_questions_survive_a_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"q.{suffix}"
    (write_questions if suffix == "jsonl" else write_parquet)(QUESTIONS, path)
    assert read_questions(path) == QUESTIONS


def test_the_parquet_has_the_published_columns_and_runnable_tools(tmp_path: Path) -> None:
    write_parquet(QUESTIONS, tmp_path / "q.parquet")
    row = pq.read_table(tmp_path / "q.parquet").to_pylist()[0]
    assert set(row) == {"data_source", "question", "ability", "reward_model", "extra_info", "tool_calls_used"}
    assert row["reward_model"] == {"style": "rule", "ground_truth": ["5"]}
    assert json.loads(row["tool_calls_used"]) == ["add"]
    assert row["extra_info"]["env"] == MATH_SOURCE
    assert [s["function"]["name"] for s in json.loads(row["extra_info"]["func_schemas"])] == ["add", "sqrt"]


def published_row(**changes: Any) -> dict[str, Any]:
    return {
        "data_source": "ace",
        "question": "2+3?",
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": ["5"]},
        "extra_info": {"index": 7, "env": "def add(a, b): return a + b", "func_schemas": json.dumps([OWN_TOOL])},
        "tool_calls_used": ["add", "add"],
    } | changes


@pytest.mark.parametrize("as_json", [False, True])
def test_published_rows_are_read_also_where_structured_fields_are_json_strings(tmp_path: Path, as_json: bool) -> None:
    row = published_row()
    if as_json:
        row = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "p.parquet")
    [question] = read_questions(tmp_path / "p.parquet")
    assert (question.id, question.answers, question.env) == ("7", ("5",), "def add(a, b): return a + b")
    assert question.references == (
        Reference(answer="5", tool_calls=(CallSignature(name="add"), CallSignature(name="add"))),
    )
    assert question.func_schemas == (OWN_TOOL,)


def test_an_answer_that_looks_like_a_list_stays_an_answer(tmp_path: Path) -> None:
    row = published_row(reward_model={"style": "rule", "ground_truth": "[0, 1)"})
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "p.parquet")
    assert read_questions(tmp_path / "p.parquet")[0].answers == ("[0, 1)",)


@pytest.mark.parametrize(
    ("row", "answers", "source"),
    [
        ({"id": 3, "question": "q", "golden_answers": ["x", "y"]}, ("x", "y"), "mentor"),
        ({"question": "q", "answer": 5, "benchmark": "gsm8k"}, ("5",), "gsm8k"),
        ({"question": "q", "answers": "x"}, ("x",), "mentor"),
    ],
)
def test_other_json_lines_are_read(tmp_path: Path, row: dict[str, Any], answers: tuple[str, ...], source: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(row) + "\n")
    [question] = read_questions(path)
    assert (question.answers, question.data_source) == (answers, source)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("q.jsonl", '{"question": "a"}\n{oops\n', "q.jsonl:2"),
        ("q.jsonl", '{"answers": ["1"]}\n', "question"),
        ("q.jsonl", "[1]\n", "no object"),
        ("q.jsonl", "", "no question"),
        ("q.jsonl", '{"id": "x", "question": "a"}\n{"id": "x", "question": "b"}\n', "twice"),
        ("q.csv", "a,b\n", ".jsonl or .parquet"),
        ("q.parquet", "not parquet", "not a parquet file"),
    ],
)
def test_a_bad_file_names_itself_and_the_line(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_questions(path, "train_files")
    assert complaint in str(caught.value) and name in str(caught.value)
    assert caught.value.field == "train_files"


def test_a_malformed_parquet_row_names_its_number_and_a_missing_column_is_named(tmp_path: Path) -> None:
    rows = [published_row(), published_row(extra_info=json.dumps({"id": "x"}), tool_calls_used="{oops")]
    for row in rows:
        row["extra_info"] = json.dumps(row["extra_info"]) if isinstance(row["extra_info"], dict) else row["extra_info"]
        row["tool_calls_used"] = row["tool_calls_used"] if isinstance(row["tool_calls_used"], str) else "[]"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    with pytest.raises(UserError, match="row 1"):
        read_questions(tmp_path / "p.parquet")
    pq.write_table(pa.table({"question": ["q"]}), tmp_path / "m.parquet")
    with pytest.raises(UserError, match="reward_model"):
        read_questions(tmp_path / "m.parquet")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_questions(tmp_path / "nowhere.jsonl")
    with pytest.raises(UserError, match="directory"):
        read_questions(tmp_path)


def trajectory(sample: int) -> Trajectory:
    turn = Turn(text="\\boxed{5}", token_ids=(1, 2), logprobs=(-0.25, -1.5), observation_ids=(3,))
    return Trajectory(question_id="q", sample=sample, turns=(turn,), answer="5", metadata={"correct": True})


def test_trajectories_survive_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write_trajectories([trajectory(0), trajectory(1)], path)
    assert list(iter_trajectories(path)) == [trajectory(0), trajectory(1)]


def test_a_journal_goes_on_after_a_writer_that_was_killed_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    journal = Journal(path)
    journal.add(trajectory(0))
    journal.close()
    with path.open("a") as file:
        file.write(trajectory(1).model_dump_json()[:40])
    again = Journal(path)
    assert set(again.done) == {("q", 0)}
    again.add(trajectory(1))
    again.close()
    assert [t.sample for t in iter_trajectories(path)] == [0, 1]


def test_a_malformed_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("{}x\n" + trajectory(0).model_dump_json() + "\n")
    with pytest.raises(UserError, match=r"t\.jsonl:1"):
        list(iter_trajectories(path))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"] and target.read_text() == "old"


def test_a_full_disk_is_one_clear_error_and_leaves_nothing() -> None:
    with pytest.raises(UserError, match="cannot write /dev/full/x"):
        write_questions(QUESTIONS, "/dev/full/x")
