"""Importers of the teacher: traces that exist already become references; what cannot be taken says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from mentor.chat import load_format
from mentor.errors import UserError
from mentor.tools.math_tools import add
from mentor_teacher.calculator import execute
from mentor_teacher.importers import IMPORTERS, Imported
from mentor_teacher.importing import import_dataset
from mentor_trainer.config import make_spec
from mentor_trainer.sft_data import examples, load_pairs
from tests.support.real_data import FOLDER

STUDENT = Path(__file__).parents[2] / "examples" / "tiny" / "checkpoints" / "student"


def imported(name: str, path: Path, rows: list[Any], **options: str) -> Imported:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return IMPORTERS.get(name).read(path, options)


@pytest.mark.parametrize(
    ("expression", "value", "calls"),
    [
        ("48/2", 24, [["divide"]]),
        ("1+2+3", 6, [["sum_numbers"]]),
        ("2*3+4*5", 26, [["multiply", "multiply"], ["add"]]),
        ("(100-10)*20%", 18, [["subtract", "divide"], ["multiply"]]),
        ("1,000 x 2", 2000, [["multiply"]]),
        ("-5+7", 2, [["add"]]),
        ("7", 7, []),
        ("05*2", 10, [["multiply"]]),
    ],
)
def test_arithmetic_becomes_calls_level_by_level(expression: str, value: float, calls: list[list[str]]) -> None:
    found, levels = execute(expression)
    assert found == value and [[call.name for call in level.calls] for level in levels] == calls


@pytest.mark.parametrize(
    "expression", ["1/0", "2**99999", "__import__('os')", "a+1", "1+", "(" * 200 + "1", "9" * 9000 + "+1"]
)
def test_what_is_no_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"arithmetic|fails|too (large|long)"):
        execute(expression)


def test_gsm8k_annotations_become_executed_calls(tmp_path: Path) -> None:
    solution = "She earns 12/60 = $<<12/60=0.2>>0.2 a minute.\nIn 50 minutes 0.2 x 50 = $<<0.2*50=10>>10.\n#### 10"
    spelt = "He has 3+4=<<3+4=7>>7 apples.\nWith 5 more he has 7 apples + 5 apples = 12 apples.\n#### 12"
    found = imported(
        "gsm8k", tmp_path / "g.jsonl",
        [
            {"id": "a", "question": "How much?", "answer": solution},
            {"question": "How many?", "solution": spelt, "answer": "12"},
            {"question": "q", "answer": "It is <<2+2=5>>5.\n#### 5"}, {"question": "q", "answer": "It is <<2+2=4>>4.\n#### 9"},
            {"question": "q", "answer": "no end"}, {"question": "q", "answer": "thinking\n#### 9"},
        ],
    )  # fmt: skip
    assert [q.id for q in found.questions] == ["a", "1"] and [q.answers for q in found.questions] == [("10",), ("12",)]
    first, second = found.trajectories
    assert [c.name for c in first.executed_calls] == ["divide", "multiply"] and first.turns[
        0
    ].text == "She earns 12/60 = $"
    assert [o.content for o in first.observations] == ["0.2", "10.0"] and first.answer == "10"
    assert [c.arguments for c in second.executed_calls] == [
        {"firstNumber": 3, "secondNumber": 4}, {"firstNumber": 7, "secondNumber": 5},
    ]  # fmt: skip
    assert second.observations[1].content == str(add(7, 5))
    assert [reason.partition(": ")[2] for reason in found.rejected] == [
        "<<2+2=5>> is 4", "the last result 4 is not the answer 9", "the solution has no line after ####",
        "the solution computes nothing",
    ]  # fmt: skip


def test_real_gsm8k_imports_reads_in_the_trainer_and_has_the_published_columns(tmp_path: Path) -> None:
    source = FOLDER / "gsm8k_train2000.jsonl"
    if not source.is_file():
        pytest.skip(f"the data sets beside the project are not here: {source.name}")
    summary = import_dataset(source, "gsm8k", (), tmp_path, (), "fewest_calls", 1)
    assert summary["questions"] >= 0.95 * 2000 and summary["questions"] + summary["rejected"] == 2000
    assert len((tmp_path / "rejected.txt").read_text().splitlines()) == summary["rejected"]
    table = pq.read_table(tmp_path / "references.parquet")
    assert_published(table.to_pylist()[:50])
    spec = make_spec(
        {
            "algorithm": "sft", "model": str(STUDENT), "train_files": [str(tmp_path / "references.parquet")], "device": "cpu",
            "trajectory_files": [str(tmp_path / "trajectories.jsonl")], "n_gpus_per_node": 1, "tensor_parallel": 1,
            "train_max_samples": 50, "max_sequence_length": 32768,
        }
    )  # fmt: skip
    pairs = load_pairs(spec)
    built = examples(spec, pairs, load_format(AutoTokenizer.from_pretrained(STUDENT)))
    assert len(pairs) == len(built) == 50 and all(0 < sum(example.mask) < len(example.mask) for example in built)


def assert_published(rows: list[dict[str, Any]]) -> None:
    """What the published training code reads of each row."""
    for row in rows:
        assert row["reward_model"]["style"] == "rule" and all(
            isinstance(a, str) for a in row["reward_model"]["ground_truth"]
        )
        assert isinstance(row["question"], str) and isinstance(row["data_source"], str) and row["ability"]
        extra = row["extra_info"]
        assert extra["id"] and isinstance(extra["index"], int) and "def " in extra["env"]
        offered = {tool["function"]["name"] for tool in json.loads(extra["func_schemas"])}
        assert set(json.loads(row["tool_calls_used"])) <= offered


CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"firstNumber": 1, "secondNumber": 2}'},
}
TALK = [
    {"role": "user", "content": "1+2?"}, {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "3"}, {"role": "assistant", "content": "It is \\boxed{3}."},
]  # fmt: skip


def test_openai_messages_become_traces_judged_against_the_rows_answer(tmp_path: Path) -> None:
    found = imported(
        "messages", tmp_path / "m.jsonl",
        [
            {"messages": TALK, "answer": "3", "model": "big"}, {"messages": TALK, "answer": "4"}, {"messages": TALK},
            {"messages": TALK[:2]}, {"messages": TALK[:-1]}, {"messages": [TALK[0], TALK[3], TALK[2]]}, {"messages": "x"},
            {"messages": [TALK[0], {"role": "assistant", "content": "It is 3."}], "answer": "3"},
            {"messages": [*TALK[:2], {**TALK[2], "content": "Error: no"}, TALK[3]], "answer": "3"},
        ],
    )  # fmt: skip
    assert [t.metadata["correct"] for t in found.trajectories] == [True, False, True, True]
    assert found.trajectories[0].executed_calls[0].arguments == {"firstNumber": 1, "secondNumber": 2}
    assert found.trajectories[0].model == "big" and found.trajectories[3].executed_calls == ()
    assert [reason.partition(": ")[2] for reason in found.rejected] == [
        "1 calls have no result", "the conversation does not end by an answer", "a tool's result belongs to no call",
        "messages is no list of messages", "the final message has no boxed answer",
    ]  # fmt: skip


def test_sharegpt_and_records_become_traces(tmp_path: Path) -> None:
    said = [
        {"from": "human", "value": "1+2?"},
        {"from": "function_call", "value": '{"name": "add", "arguments": {"firstNumber": 1}}'},
        {"from": "observation", "value": "3"}, {"from": "gpt", "value": "\\boxed{3}"},
    ]  # fmt: skip
    (trace,) = imported("sharegpt", tmp_path / "s.jsonl", [{"conversations": said, "answer": "3"}]).trajectories
    assert [call.name for call in trace.executed_calls] == ["add"] and trace.metadata["correct"]
    record = {
        "question": "What is 1+2?", "messages": TALK, "reward_model": {"ground_truth": ["3"], "style": "rule"},
        "model_name": "m", "dataset_name": "sums",
    }  # fmt: skip
    found = imported("records", tmp_path / "r.jsonl", [record])
    assert found.questions[0].question == "What is 1+2?" and found.trajectories[0].model == "m"


def test_tables_with_named_columns(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text('no,text,total,kind\n7,"1,000 + 1?",1001,sum\n8,,5,sum\n')
    found = IMPORTERS.get("table").read(
        tmp_path / "q.csv",
        {"id": "no", "question": "text", "answer": "total", "category": "kind", "tools": "add, multiply"},
    )
    (question,) = found.questions
    assert (question.id, question.answers, question.category, question.tools) == (
        "7",
        ("1001",),
        "sum",
        ("add", "multiply"),
    )
    assert found.rejected == ("line 3: no text",)
    with pytest.raises(UserError, match=r"importer_options.colour.*allowed: question, answer"):
        IMPORTERS.get("table").read(tmp_path / "q.csv", {"colour": "red"})
    with pytest.raises(UserError, match=r"unknown suffix"):
        IMPORTERS.get("table").read(Path(__file__), {})


def test_a_file_without_traces_makes_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,answer\n1+1?,2\n")
    with pytest.raises(UserError, match="its rows are questions without traces"):
        import_dataset(tmp_path / "q.csv", "table", (), tmp_path / "out", (), "fewest_calls", 1)
    with pytest.raises(UserError, match="unknown importer 'magic'"):
        import_dataset(tmp_path / "q.csv", "magic", (), tmp_path / "out", (), "fewest_calls", 1)
