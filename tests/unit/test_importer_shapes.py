"""Shapes of other people's files: Hugging Face data sets, conversations as logs and published sets have them, question sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mentor.data import write_questions
from mentor.data.parquet import SCHEMA, write_parquet
from mentor.errors import UserError
from mentor.trajectory import Question, Reference
from mentor_teacher.importers import IMPORTERS, Imported
from mentor_teacher.importing import import_dataset
from tests.support.drawn import SUM, drawn, question

GSM8K = {"question": "How much is half of 48?", "answer": "Half is 48/2 = <<48/2=24>>24.\n#### 24"}
TALK = [
    {"role": "user", "content": "1+2?"},
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"firstNumber": 1, "secondNumber": 2}'}},
        {"id": "b", "type": "function", "function": {"name": "add", "arguments": {"firstNumber": 3, "secondNumber": 4}}},
    ]},
    {"role": "tool", "tool_call_id": "b", "content": "7"}, {"role": "tool", "tool_call_id": "a", "content": "3"},
    {"role": "assistant", "content": "So it is three."},
]  # fmt: skip


def read(name: str, path: Path, rows: list[Any] | None = None, **options: str) -> Imported:
    if rows is not None:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return IMPORTERS.get(name).read(path, options)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The library ``datasets`` without a network."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return datasets


def saved(hub: Any, folder: Path, form: str) -> Path:
    data = hub.Dataset.from_list([GSM8K, {**GSM8K, "question": "And half of 48 again?"}])
    if form == "saved":
        data.save_to_disk(str(folder))
    elif form == "saved with splits":
        hub.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(str(folder))
    elif form == "parquet shards":
        (folder / "data").mkdir(parents=True)
        for part in range(2):
            data.shard(2, part).to_parquet(str(folder / "data" / f"train-{part:05d}-of-00002.parquet"))
    elif form == "arrow shards":
        data.save_to_disk(str(folder))
        for file in ("dataset_info.json", "state.json"):
            (folder / file).unlink()
    else:
        folder.mkdir()
        file = folder / "rows.parquet"
        data.to_parquet(str(file))
        return file
    return folder


@pytest.mark.parametrize("form", ["saved", "saved with splits", "parquet shards", "arrow shards", "a file"])
def test_hugging_face_data_sets_are_read_as_they_lie_there(form: str, tmp_path: Path, hub: Any) -> None:
    path = saved(hub, tmp_path / "gsm8k", form)
    found = read("huggingface", path, **{"as": "gsm8k"})
    assert [t.answer for t in found.trajectories] == ["24", "24"] and not found.rejected
    assert [call.name for call in found.trajectories[0].executed_calls] == ["divide"]
    plain = read("huggingface", path, answer="")
    assert [q.answers for q in plain.questions] == [(), ()] and plain.questions[0].question == GSM8K["question"]


def test_a_split_is_chosen_by_name_and_a_name_needs_a_network(tmp_path: Path, hub: Any) -> None:
    path = saved(hub, tmp_path / "g", "saved with splits")
    assert len(read("huggingface", path, **{"as": "gsm8k", "split": "test"}).questions) == 1
    for options, field in (
        ({"split": "none"}, "split"),
        ({"as": "magic"}, "as"),
        ({"as": "huggingface"}, "as"),
        ({"revision": "a"}, "revision"),
    ):
        with pytest.raises(UserError) as refused:
            read("huggingface", path, **options)
        assert refused.value.field == f"importer_options.{field}"
    with pytest.raises(UserError, match="is no data set that can be read"):
        read("huggingface", Path("openai/gsm8k"), **{"as": "gsm8k", "config": "main"})
    with pytest.raises(UserError, match="does not exist"):
        read("huggingface", tmp_path / "nothing" / "here")


def test_results_in_another_order_and_answers_without_a_box(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    found = read(
        "messages", file, [{"messages": TALK}, {"messages": TALK, "answer": "seven"}], answer="text", judge="qa_sub_em"
    )
    first, second = found.trajectories
    assert [o.content for o in first.observations] == ["3", "7"] and first.answer == "So it is three."
    assert first.metadata["correct"] and not second.metadata["correct"]
    assert read("messages", file).rejected[0].endswith("the final message has no boxed answer")
    with pytest.raises(UserError, match=r"importer_options\.answer"):
        read("messages", file, answer="guess")
    with pytest.raises(UserError, match=r"importer_options\.judge.*unknown judge"):
        read("messages", file, judge="oracle")


def test_older_function_calls_content_in_parts_and_tools_as_json(tmp_path: Path) -> None:
    talk = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "1+2?"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "plus", "arguments": '{"a": 1, "b": 2}'}},
        {"role": "function", "name": "plus", "content": "3"}, {"role": "assistant", "content": "\\boxed{3}"},
    ]  # fmt: skip
    tools = json.dumps([{"name": "plus", "description": "adds", "parameters": {"type": "object", "properties": {}}}])
    found = read(
        "messages",
        tmp_path / "m.jsonl",
        [{"messages": talk, "tools": tools, "answer": "3"}, {"messages": talk, "tools": "{"}],
    )
    (trace,) = found.trajectories
    assert trace.question == "1+2?" and trace.executed_calls[0].name == "plus" and trace.metadata["correct"]
    assert (
        found.questions[0].func_schemas is not None and found.questions[0].func_schemas[0]["function"]["name"] == "plus"
    )
    assert found.rejected == ("line 2: tools is no JSON",)


HERMES = [
    {"from": "system", "value": "<tools>[]</tools>"}, {"from": "human", "value": "1+2 and 3+4?"},
    {"from": "gpt", "value": (
        '<think>Two sums.</think>\n<tool_call>\n{"name": "add", "arguments": {"firstNumber": 1, "secondNumber": 2}}\n'
        "</tool_call>\n"
        '<tool_call>\n{"name": "add", "arguments": {"firstNumber": 3, "secondNumber": 4}}\n</tool_call>'
    )},
    {"from": "tool", "value": "<tool_response>\n3\n</tool_response>\n<tool_response>\n7\n</tool_response>"},
    {"from": "gpt", "value": "\\boxed{10}"},
]  # fmt: skip


def test_hermes_conversations_have_calls_and_several_results_in_the_text(tmp_path: Path) -> None:
    found = read("sharegpt", tmp_path / "s.jsonl", [{"conversations": HERMES, "answer": "10"}])
    (trace,) = found.trajectories
    assert [o.content for o in trace.observations] == ["3", "7"] and trace.turns[0].reasoning == "Two sums."
    broken = [*HERMES[:2], {"from": "gpt", "value": "<tool_call>{no</tool_call>"}, *HERMES[3:]]
    (why,) = read("sharegpt", tmp_path / "s.jsonl", [{"conversations": broken}]).rejected
    assert "a call in the text is malformed_call" in why


def test_records_of_the_published_rollout_repeat_the_call_before_its_result(tmp_path: Path) -> None:
    call = '{"name": "add", "arguments": {"firstNumber": 1, "secondNumber": 2}}'
    record = {
        "question": "What is 1+2?", "reward_model": {"ground_truth": ["3"], "style": "rule"}, "model_answer": "3",
        "is_correct": True, "model_name": "published", "dataset_name": "sums", "ability": "math", "turns_used": 2,
        "tools_used": ["add"], "invalid_tools_used": [], "extra_info": {}, "messages": [
            {"role": "user", "content": "Question: What is 1+2?"},
            {"role": "assistant", "content": f"<think>add</think><tool_call>{call}</tool_call>"},
            {"role": "user", "content": f"<tool_response>{call}\n3\n</tool_response>\n"},
            {"role": "assistant", "content": "<think>done</think>It is \\boxed{3}."},
        ],
    }  # fmt: skip
    (trace,) = read("records", tmp_path / "r.jsonl", [record]).trajectories
    assert [o.content for o in trace.observations] == ["3"] and trace.metadata["correct"] and trace.model == "published"


def test_question_sets_of_every_kind_ask_the_same(tmp_path: Path) -> None:
    flashrag = read(
        "questions",
        tmp_path / "f.jsonl",
        [{"id": "t_0", "question": "Who?", "golden_answers": ["A", "B"], "metadata": {"k": 1}}],
    )
    assert flashrag.questions[0].answers == ("A", "B") and flashrag.questions[0].id == "t_0"
    plain = read("questions", tmp_path / "p.jsonl", [{"question": "1+1?", "answer": 2}, {"question": "open?"}])
    assert [q.answers for q in plain.questions] == [("2",), ()]
    asked = Question(id="x", question="1+1?", answers=("2",), references=(Reference(answer="2"),), tools=("add",))
    write_parquet([asked], tmp_path / "ours.parquet")
    assert read("questions", tmp_path / "ours.parquet").questions == (asked,)


def test_the_published_parquet_reads_with_its_structures_as_json_text(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    env = "def double(x):\n    return 2 * x\n"
    tool = {
        "type": "function",
        "function": {"name": "double", "description": "", "parameters": {"type": "object", "properties": {}}},
    }
    row = {
        "data_source": "acereason", "question": "Twice 2?", "ability": "math",
        "reward_model": json.dumps({"style": "rule", "ground_truth": ["4"]}),
        "extra_info": json.dumps({"index": 7, "env": env, "func_schemas": json.dumps([tool])}),
        "tool_calls_used": json.dumps(["double", "double"]),
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "p.parquet")
    (found,) = read("questions", tmp_path / "p.parquet").questions
    assert found.id == "7" and found.env == env and found.references[0].tool_names == ("double", "double")
    assert set(SCHEMA.names) == set(row)


def test_what_we_export_for_fine_tuning_reads_back(tmp_path: Path) -> None:
    q = question(tools=("add",))
    write_questions([q], tmp_path / "q.jsonl")
    from mentor_teacher.output.dataset import write_dataset
    from mentor_teacher.output.manifest import Origin
    from mentor_teacher.select import select

    trace = drawn(q, SUM)
    write_dataset(tmp_path / "a", [q], select([q], [trace], max_references=1), Origin(kind="job", model="m"), name="a")
    summary = import_dataset(tmp_path / "a" / "sft.jsonl", "messages", (), tmp_path / "b", (), "fewest_calls", 1)
    assert summary["kept"] == 1 and summary["rejected"] == 0
    again = read("messages", tmp_path / "a" / "sft.jsonl")
    assert again.trajectories[0].executed_calls == trace.executed_calls and again.questions[0].func_schemas is not None
    assert again.questions[0].question == q.question, "the prompt around the question is no part of it"
    from_parquet = read("huggingface", tmp_path / "a", **{"as": "messages", "config": "sft"})
    assert from_parquet.trajectories[0].executed_calls == trace.executed_calls
