"""Data sets of the teacher: what the folder holds, who reads it, splits, pairs, merging, and what is told of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from transformers import AutoTokenizer
from typer.testing import CliRunner

from mentor.cli.app import app
from mentor.data import iter_trajectories, read_questions, write_questions, write_trajectories
from mentor.errors import ConflictError, UserError
from mentor.trajectory import Question, Trajectory
from mentor_teacher.exporting import export_dataset
from mentor_teacher.merging import merge_datasets
from mentor_teacher.output.dataset import write_dataset
from mentor_teacher.output.manifest import Origin
from mentor_teacher.output.preferences import CLEAN_FAILING, RIGHT_WRONG, pairs
from mentor_teacher.output.splits import split_of
from mentor_teacher.output.statistics import funnel, statistics
from mentor_teacher.select import select
from mentor_teacher.selections import SELECTIONS
from tests.support.drawn import SUM, drawn, question

STUDENT = Path(__file__).parents[2] / "examples" / "tiny" / "checkpoints" / "student"
BAD = ("I try.", "divide", {"numerator": 1, "denominator": 0}, "!division by zero")
SHARES = {"train": 0.7, "validation": 0.3}


def sets(count: int = 20) -> tuple[list[Question], list[Trajectory]]:
    """Questions with a right, a wrong and a recovered sample each; the last one has nothing right."""
    asked = [question(f"q{n}", f"What is {n} and {42 - n} together, asked for the {n}th time?") for n in range(count)]
    samples = []
    for n, q in enumerate(asked):
        step = ("I add.", "add", {"firstNumber": n, "secondNumber": 42 - n}, "42")
        samples += [drawn(q, step, sample=0), drawn(q, answer="41", sample=1), drawn(q, BAD, step, sample=2)]
    return asked, [t for t in samples if t.question_id != asked[-1].id or t.sample == 1]


def written(folder: Path, shares: dict[str, float] | None = None, count: int = 20, **choices: Any) -> dict[str, Any]:
    asked, samples = sets(count)
    selected = select(asked, samples, **({"max_references": 1} | choices))
    return write_dataset(folder, asked, selected, Origin(kind="job", model="teacher"), name="sums", shares=shares)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The library ``datasets``, without a network, with a cache of the test's own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return datasets


def test_the_folder_loads_as_it_is(tmp_path: Path, offline: Any) -> None:
    written(tmp_path / "sums", SHARES)
    folder = str(tmp_path / "sums")
    names = offline.get_dataset_config_names(folder)
    assert names == ["references", "sft", "sft_text", "preferences", "trajectories"]
    references = offline.load_dataset(folder)
    assert set(references) == {"train", "validation"} and sum(map(len, references.values())) == 19
    sft = offline.load_dataset(folder, "sft", split="train")
    call = sft[0]["messages"][1]["tool_calls"][0]["function"]
    assert set(call["arguments"]) == {"firstNumber", "secondNumber"}, (
        "a call has its own arguments, and no other tool's"
    )
    preferences = offline.load_dataset(folder, "preferences", split="validation")
    assert set(preferences["kind"]) == {RIGHT_WRONG, CLEAN_FAILING}
    whole = offline.load_dataset(folder, "trajectories", split="train")
    again = [Trajectory.model_validate_json(text) for text in whole["trajectory"]]
    assert again == list(iter_trajectories(tmp_path / "sums" / "trajectories.jsonl")) and len(again) == 58


def test_a_split_is_stable_and_no_question_is_on_both_sides(tmp_path: Path) -> None:
    asked = [question(f"q{n}", f"Question number {n}: how many are {n} boxes?") for n in range(2000)]
    before = {q.id: split_of(q, SHARES) for q in asked}
    assert {q.id: split_of(q, SHARES) for q in reversed(asked[500:])} == {q.id: before[q.id] for q in asked[500:]}
    share = sum(name == "train" for name in before.values()) / len(asked)
    assert abs(share - 0.7) < 0.04  # four standard deviations of 2,000 draws
    shouted = asked[0].model_copy(update={"id": "other", "question": asked[0].question.upper() + " !"})
    assert split_of(shouted, SHARES) == before["q0"]
    written(tmp_path / "s", SHARES)
    parts = [
        {q.id for q in read_questions(tmp_path / "s" / n)} for n in ("references.jsonl", "references-validation.jsonl")
    ]
    assert all(parts) and not parts[0] & parts[1]
    written(tmp_path / "s")
    assert not list((tmp_path / "s").glob("*-validation.*")), "an earlier set's splits are gone"


def test_difficulty_goes_into_the_data(tmp_path: Path) -> None:
    written(tmp_path)
    (first, *_) = pq.read_table(tmp_path / "references.parquet").to_pylist()
    assert first["extra_info"]["pass_rate"] == pytest.approx(2 / 3, abs=1e-4)
    assert read_questions(tmp_path / "references.parquet")[0].metadata == {"pass_rate": 0.6667, "samples": 3}


PUBLISHED = ["data_source", "question", "ability", "reward_model", "extra_info", "tool_calls_used"]


def test_references_are_what_the_published_training_code_reads(tmp_path: Path) -> None:
    written(tmp_path)
    table = pq.read_table(tmp_path / "references.parquet")
    assert table.column_names == PUBLISHED
    for row in table.to_pylist():
        assert row["reward_model"]["style"] == "rule" and row["reward_model"]["ground_truth"] == ["42"]
        extra = row["extra_info"]
        offered = [tool["function"]["name"] for tool in json.loads(extra["func_schemas"])]
        scope: dict[str, Any] = {}
        exec(extra["env"], scope)
        assert all(callable(scope[name]) for name in offered) and set(json.loads(row["tool_calls_used"])) <= set(
            offered
        )
        assert scope["add"](firstNumber=40, secondNumber=2) == 42


def test_trl_trains_on_the_whole_conversation_with_its_tools(tmp_path: Path, offline: Any) -> None:
    from trl.data_utils import apply_chat_template, is_conversational

    written(tmp_path / "s")
    tokenizer = AutoTokenizer.from_pretrained(STUDENT)
    for kind, file in (("parquet", "sft.parquet"), ("json", "sft.jsonl")):
        row = offline.load_dataset(kind, data_files=str(tmp_path / "s" / file), split="train")[0]
        assert is_conversational(row)
        text = apply_chat_template({"messages": row["messages"]}, tokenizer, tools=row["tools"])["text"]
        assert '<tool_call>\n{"name": "add", "arguments": {"firstNumber": 0, "secondNumber": 42}}\n</tool_call>' in text
        assert "<tool_response>\n42\n</tool_response>" in text and "null" not in text
    pair = offline.load_dataset("parquet", data_files=str(tmp_path / "s" / "preferences.parquet"), split="train")[0]
    given = {key: pair[key] for key in ("prompt", "chosen", "rejected")}
    shown = apply_chat_template(given, tokenizer, tools=pair["tools"])
    assert "\\boxed{42}" in shown["chosen"] and "\\boxed{41}" in shown["rejected"] and "# Tools" in shown["prompt"]


def test_trl_tokenises_and_takes_a_step(tmp_path: Path, offline: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    written(tmp_path / "s", count=5)
    data = offline.load_dataset("parquet", data_files=str(tmp_path / "s" / "sft.parquet"), split="train")
    config = SFTConfig(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, report_to=[], use_cpu=True, bf16=False,
        max_length=4096, save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(STUDENT, dtype=torch.float32)
    trainer = SFTTrainer(model, config, train_dataset=data, processing_class=AutoTokenizer.from_pretrained(STUDENT))
    assert trainer.train().training_loss > 0


def test_verl_reads_the_text_form_as_the_very_tokens_that_this_project_trains_on(tmp_path: Path) -> None:
    from omegaconf import OmegaConf
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    from mentor.chat import load_format
    from mentor_teacher.output.messages import Writer
    from mentor_trainer.sft_data import tokenise

    written(tmp_path / "s", max_references=2)
    tokenizer = AutoTokenizer.from_pretrained(STUDENT)
    config = OmegaConf.create({"pad_mode": "no_padding", "max_length": 8192, "truncation": "error"})
    read = MultiTurnSFTDataset([str(tmp_path / "s" / "sft_text.parquet")], tokenizer, config)
    kept = [t for t in iter_trajectories(tmp_path / "s" / "trajectories.jsonl") if t.metadata["fate"] == "kept"]
    by_id = {q.id: q for q in read_questions(tmp_path / "s" / "references.jsonl")}
    assert len(read) == len(kept) == 38
    chat_format, writer = load_format(tokenizer), Writer()
    for place in (0, 1, 37):
        ours = tokenise(kept[place], writer.tools(by_id[kept[place].question_id]), chat_format)
        theirs = read[place]
        ids, mask = theirs["input_ids"].tolist(), theirs["loss_mask"].tolist()
        text, rest = tokenizer.decode(ours.ids), tokenizer.decode(ids)
        assert rest.removesuffix("\n") == text
        learned = "".join(tokenizer.decode([i]) for i, m in zip(ids, mask, strict=True) if m)
        assert "\\boxed{42}" in learned and "<tool_response>" not in learned and "Question" not in learned


def test_pairs_never_choose_what_a_filter_dropped_or_reject_what_was_lost() -> None:
    q = question()
    right, wrong, recovered = drawn(q, SUM, sample=0), drawn(q, answer="41", sample=1), drawn(q, BAD, SUM, sample=2)
    lost = drawn(q, sample=3, termination="infrastructure", correct=False)
    marked = select([q], [right, wrong, recovered, lost], max_references=1, filters=["failing_calls"]).trajectories
    found = [(kind, chosen.sample, rejected.sample) for kind, chosen, rejected in pairs(marked)]
    assert found == [(RIGHT_WRONG, 0, 1), (CLEAN_FAILING, 0, 2)]
    only_bad = select([q], [recovered, wrong], max_references=1, filters=["failing_calls"]).trajectories
    assert pairs(only_bad) == []


WAYS = {
    "fewest_calls": [1, 0, 2, 3], "shortest": [1, 2, 0, 3], "common_tools": [0, 3, 1, 2], "highest_agreement": [0, 3, 1, 2],
    "diverse": [1, 2, 0, 3], "all": [0, 1, 2, 3],
}  # fmt: skip


@pytest.mark.parametrize(("name", "order"), WAYS.items())
def test_each_selection_has_its_own_order(name: str, order: list[int]) -> None:
    q = question()
    a = ("So:", "add", {"firstNumber": 40, "secondNumber": 2}, "42")
    b = ("Then:", "multiply", {"firstNumber": 2, "secondNumber": 21}, "42")
    c = ("", "subtract", {"minuend": 44, "subtrahend": 2}, "42")
    d = ("", "divide", {"numerator": 84, "denominator": 2}, "42")
    ways = [
        drawn(q, a, b, sample=0),
        drawn(q, a, sample=1, final="\\boxed{42}"),
        drawn(q, c, d, sample=2),
        drawn(q, a, b, sample=3, final="It is surely, and after all of this, \\boxed{42}"),
    ]
    assert [t.sample for t in SELECTIONS.get(name).rank(ways)] == order


def test_all_is_not_held_to_a_number_of_references() -> None:
    q = question()
    samples = [drawn(q, SUM, sample=n) for n in range(6)]
    assert select([q], samples, max_references=2, selection="all").kept == 6
    assert select([q], samples, max_references=2, selection="diverse").kept == 2


def test_the_manifest_tells_everything_that_was_asked_and_counted(tmp_path: Path) -> None:
    summary = written(tmp_path, filters=["failing_calls"])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [step["filter"] for step in manifest["filters"]] == ["unanswered", "wrong", "failing_calls"]
    assert [step["dropped"] for step in manifest["filters"]] == [0, 20, 19]
    assert manifest["fates"]["kept"] == summary["kept"] == 19 and len(manifest["code"]) == 64
    assert set(manifest["tools"]) >= {"add", "divide"} and "mentor" in manifest["versions"]
    head = yaml.safe_load((tmp_path / "README.md").read_text().split("---")[1])
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "references.parquet"}]


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`| {{7*7}} \u2028 [x](javascript:alert(1))"


def test_hostile_text_stays_text_in_page_and_card(tmp_path: Path) -> None:
    q = question(HOSTILE, f"What is 42? {HOSTILE}")
    samples = [
        drawn(q, (HOSTILE, HOSTILE, {"x": HOSTILE}, HOSTILE), sample=0), drawn(q, answer=HOSTILE, final=HOSTILE, sample=1)
    ]  # fmt: skip
    selected = select([q], samples, max_references=1)
    write_dataset(tmp_path, [q], selected, Origin(kind="import", model=HOSTILE), name=HOSTILE)
    page = (tmp_path / "statistics.html").read_text()
    assert "<script>alert" not in page and "<img src=x" not in page and "{{7*7}}" in page
    assert not re.search(r'(src|href)="?https?://', re.sub(r"<script.*?</script>", "", page, flags=re.S))
    card = (tmp_path / "README.md").read_text().split("---", 2)[2]
    assert "<script" not in card and "<img" not in card


def test_statistics_add_up() -> None:
    asked, samples = sets()
    selected = select(asked, samples, max_references=1)
    found = statistics(selected.trajectories, len(asked), [step.filter for step in selected.steps])
    assert found.kept + found.surplus + found.lost + sum(found.steps.values()) == found.trajectories == 58
    rows = funnel(found)
    assert rows[-2][2] == rows[-1][1] == found.kept == 19
    bands = {band.label: band.questions for band in found.difficulty if band.questions}
    assert bands == {"0": 1, "to 0.8": 19} and found.tools == {"add": {"ok": 19, "failed": 0}}
    (example, *_) = found.examples["wrong"]
    assert "answered '41'" in example.why


def test_two_data_sets_become_one_with_the_samples_of_both(tmp_path: Path) -> None:
    written(tmp_path / "a", count=6)
    asked, samples = sets(8)
    asked = [q.model_copy(update={"id": f"{n}"}) for n, q in enumerate(asked)]
    other = question("q0", "An entirely different thing?", "7")
    drawn_b = [t.model_copy(update={"question_id": t.question_id[1:], "model": "second"}) for t in samples]
    every = [*asked, other]
    selected = select(every, [*drawn_b, drawn(other, answer="7")], max_references=1)
    write_dataset(tmp_path / "b", every, selected, Origin(kind="job", model="second"), name="b")
    summary = merge_datasets([tmp_path / "a", tmp_path / "b"], tmp_path / "c", selection="all", most=4, shares={})
    merged = {q.id: q for q in read_questions(tmp_path / "c" / "references.jsonl")}
    assert set(merged) == {"q0", "q1", "q2", "q3", "q4", "q5", "6", "b/q0"} and summary["questions"] == 9
    assert {r.model for r in merged["q1"].references} == {"teacher", "second"} and len(merged["q1"].references) == 4
    assert merged["q1"].metadata == {"merged_from": ["a", "b"], "pass_rate": 0.6667, "samples": 6}
    manifest = json.loads((tmp_path / "c" / "manifest.json").read_text())
    assert (
        set(manifest["origin"]["merged"]) == {"a", "b"}
        and manifest["origin"]["merged"]["b"]["origin"]["model"] == "second"
    )
    samples_of = [(t.question_id, t.sample) for t in iter_trajectories(tmp_path / "c" / "trajectories.jsonl")]
    assert len(samples_of) == len(set(samples_of))
    again = merge_datasets([tmp_path / "a", tmp_path / "c"], tmp_path / "d", selection="all", most=4, shares={})
    assert again["trajectories"] == summary["trajectories"], "what is there already is not there twice"


def test_data_sets_that_disagree_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "a", count=3)
    q = sets(3)[0][0].model_copy(update={"answers": ("43",)})
    selected = select([q], [drawn(q, SUM, answer="43")], max_references=1)
    write_dataset(tmp_path / "b", [q], selected, Origin(kind="job", model="m"), name="b")
    with pytest.raises(ConflictError, match=r"question 'q0' of b .* is in a with other answers"):
        merge_datasets([tmp_path / "a", tmp_path / "b"], tmp_path / "c", selection="all", most=4, shares={})
    assert not (tmp_path / "c").exists()
    with pytest.raises(UserError, match="holds no data set"):
        merge_datasets([tmp_path / "a", tmp_path], tmp_path / "c", selection="all", most=4, shares={})


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["teach", *arguments])


def test_commands_inspect_export_and_merge(tmp_path: Path) -> None:
    written(tmp_path / "a", SHARES, filters=["failing_calls"])
    shown = run("inspect", str(tmp_path / "a"))
    assert shown.exit_code == 0 and "dropped by failing_calls" in shown.output and "divide: tool_error" in shown.output
    told = json.loads(run("inspect", str(tmp_path / "a"), "--json").output)
    assert told["kept"] == 19 and told["steps"]["wrong"] == 20
    out = tmp_path / "out"
    for form, files in (("references", 2), ("sft", 6), ("preferences", 4)):
        done = run("export", str(tmp_path / "a"), "--as", form, "--output", str(out / form), "--system", "Be brief.")
        assert done.exit_code == 0 and len(done.output.split()) == files == len(list((out / form).iterdir()))
    first = json.loads((out / "sft" / "sft.jsonl").read_text().splitlines()[0])
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    assert read_questions(out / "references" / "references.parquet")[0].references
    refused = run("merge", str(tmp_path / "a"), "--output", str(tmp_path / "m"))
    assert refused.exit_code == 2 and "two or more data sets" in refused.output
    bad = run("import", "x", "--importer", "gsm8k", "--output", str(out), "--split", "train=0.5")
    assert bad.exit_code == 2 and "--split" in bad.output
    wrong = run("import", "x", "--importer", "gsm8k", "--output", str(out), "--filter", "{name: length, max_turns: 0}")
    assert wrong.exit_code == 2 and "--filter.0.max_turns" in wrong.output


def test_a_folder_from_before_there_were_fates_is_read(tmp_path: Path) -> None:
    asked, samples = sets(3)
    write_questions(
        [asked[0].model_copy(update={"references": (samples[0].reference(),)})], tmp_path / "references.jsonl"
    )
    write_trajectories(samples, tmp_path / "trajectories.jsonl")
    told = json.loads(run("inspect", str(tmp_path), "--json").output)
    assert told["steps"] == {"unmarked": 7} and told["kept"] == 0
    files = export_dataset(tmp_path, "references", tmp_path / "out", None, {})
    assert read_questions(files[0])[0].references == (samples[0].reference(),)


def test_trl_learns_from_the_pairs(tmp_path: Path, offline: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig, DPOTrainer

    written(tmp_path / "s", count=3)
    data = offline.load_dataset("parquet", data_files=str(tmp_path / "s" / "preferences.parquet"), split="train")
    config = DPOConfig(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, report_to=[], use_cpu=True, bf16=False,
        save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(STUDENT, dtype=torch.float32)
    trainer = DPOTrainer(
        model, args=config, train_dataset=data, processing_class=AutoTokenizer.from_pretrained(STUDENT)
    )
    assert trainer.train().training_loss > 0
