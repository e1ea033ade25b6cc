"""Exports of runs in other forms, and existing results scored as runs."""

from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from mentor.errors import ConflictError, UserError
from mentor_evaluator.exports import EXPORTERS
from mentor_evaluator.measures.reading import report_of
from mentor_evaluator.runs import Run, open_run
from mentor_evaluator.scoring.files import read_files
from mentor_evaluator.scoring.score import Agreement, Naming, score_files
from tests.support.written_run import write_run

N = 30


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("exports") / "run"
    some = [[n % 2 == 0, n % 3 == 0] for n in range(N)]
    more = [[True, n % 3 != 0] for n in range(N)]
    cells = {
        f"{model}/{suite}/tools": rows for model, rows in (("a_1", some), ("b&2", more)) for suite in ("gsm8k", "svamp")
    }
    first = write_run(folder, cells)
    teacher = folder / "cells" / "b&2" / "gsm8k" / "tools" / "trajectories.jsonl"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["spec"]["reference"] = str(teacher)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Run(first.folder)


def exported(run: Run, name: str, folder: Path) -> list[Path]:
    files = list(EXPORTERS.get(name).export(run, folder))
    assert files and all(file.is_file() for file in files)
    return files


def test_records_have_the_published_fields(run: Run, tmp_path: Path) -> None:
    files = exported(run, "records", tmp_path)
    rows = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert len(rows) == 2 * N
    wanted = {"question", "messages", "reward_model", "model_answer", "is_correct", "model_name", "dataset_name", "ability",
              "turns_used", "category", "tools_used", "invalid_tools_used", "extra_info"}  # fmt: skip
    assert set(rows[0]) == wanted and rows[0]["tools_used"] == ["add"]


def test_inspect_logs_have_the_structure_of_version_2(run: Run, tmp_path: Path) -> None:
    """``make inspect-proof`` reads the same with inspect-ai itself."""
    files = exported(run, "inspect", tmp_path)
    assert len(files) == 4 and all(file.name.endswith(".json") for file in files)
    log = json.loads(files[0].read_text())
    assert log["version"] == 2 and log["status"] == "success"
    assert {"created", "task", "dataset", "model", "config"} <= set(log["eval"])
    assert (
        log["results"]["scores"][0]["metrics"]["accuracy"]["value"]
        == report_of(run).cells["a_1/gsm8k/tools"].accuracy.mean
    )
    sample = log["samples"][0]
    assert {"id", "epoch", "input", "target", "messages", "output", "scores"} <= set(sample)
    roles = [message["role"] for message in sample["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"]
    call = sample["messages"][1]["tool_calls"][0]
    assert (
        call["function"] == "add"
        and call["arguments"] == {"a": 1}
        and sample["messages"][2]["tool_call_id"] == call["id"]
    )
    assert {s["scores"]["math_response"]["value"] for s in log["samples"]} == {"C", "I"}
    assert len({(s["id"], s["epoch"]) for s in log["samples"]}) == 2 * N


def test_lm_eval_folders_have_results_and_samples(run: Run, tmp_path: Path) -> None:
    exported(run, "lm-eval", tmp_path)
    (results,) = (tmp_path / "a_1").glob("results_*.json")
    found = json.loads(results.read_text())
    assert {"results", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config", "date"} <= set(found)
    scores = found["results"]["gsm8k_tools"]
    assert scores["exact_match,none"] == pytest.approx(report_of(run).cells["a_1/gsm8k/tools"].accuracy.mean)
    assert scores["exact_match_stderr,none"] > 0 and found["n-samples"]["gsm8k_tools"] == {
        "original": N,
        "effective": N,
    }
    (samples,) = (tmp_path / "a_1").glob("samples_gsm8k_tools_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(rows) == N and len(rows[0]["resps"][0]) == 2
    assert sum(row["exact_match"] for row in rows) / N == pytest.approx(scores["exact_match,none"])


def test_tables_have_the_models_their_intervals_and_their_changes(run: Run, tmp_path: Path) -> None:
    text = exported(run, "markdown", tmp_path)[0].read_text()
    assert "| gsm8k (n=30) | svamp (n=30) | macro average |" in text and "change to a_1" in text and "]* |" in text
    latex = exported(run, "latex", tmp_path)[0].read_text()
    assert latex.count(r"\begin{tabular}") == 2 and r"a\_1" in latex and r"b\&2" in latex and r"\toprule" in latex


def test_figures_come_in_two_themes_and_two_formats(run: Run, tmp_path: Path) -> None:
    files = exported(run, "figures", tmp_path)
    names = {
        f"figure{n}-{theme}.{suffix}" for n in (1, 3, 4, 5) for theme in ("light", "dark") for suffix in ("svg", "png")
    }
    assert {file.name for file in files} == names
    for file in files:
        if file.suffix == ".png":
            width, height = struct.unpack(">II", file.read_bytes()[16:24])
            assert width >= 1200 and height >= 400
        else:
            texts = "".join(ET.parse(file).getroot().itertext())
            assert "a_1" in texts and "b&2" in texts


# --- scoring what exists


def scored(paths: list[Path], output: Path, **naming: Any) -> tuple[Run, Agreement]:
    _, agreement = score_files(read_files(paths), output, Naming(**naming))
    return open_run(output), agreement


def test_a_run_survives_the_way_through_published_records(run: Run, tmp_path: Path) -> None:
    files = exported(run, "records", tmp_path / "records")
    again, agreement = scored(files, tmp_path / "again")
    assert agreement == Agreement(samples=8 * N, same=8 * N)
    before, after = report_of(run).cells, report_of(again).cells
    for key, cell in after.items():
        was = before[key.replace("b-2", "b&2")]
        assert (cell.accuracy, cell.usage.by_tool, cell.usage.invalid_rate) == (
            was.accuracy, was.usage.by_tool, was.usage.invalid_rate,
        )  # fmt: skip
    itself, _ = scored([run.folder], tmp_path / "itself")
    assert {c.key.replace("b-2", "b&2") for c in itself.cells()} == {c.key for c in run.cells()}
    with pytest.raises(ConflictError, match="holds a run already"):
        scored(files, tmp_path / "again")


def test_verdicts_in_files_are_held_against_ours(tmp_path: Path) -> None:
    record: dict[str, Any] = {"question": "1+1?", "reward_model": {"ground_truth": ["2"], "style": "rule"},
              "model_name": "org/m", "dataset_name": "aime24", "messages": [
                  {"role": "user", "content": "1+1?"},
                  {"role": "assistant", "content": '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'},
                  {"role": "user", "content": '<tool_response>{"name": "add"}\n2\n</tool_response>'},
                  {"role": "assistant", "content": "So \\boxed{2}."}]}  # fmt: skip
    other = [*record["messages"][:-1], {"role": "assistant", "content": "So \\boxed{3}."}]
    rows = [record | {"model_answer": None, "is_correct": False}, record | {"messages": other, "is_correct": False}]
    file = tmp_path / "bench.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run, agreement = scored([file], tmp_path / "out")
    assert agreement == Agreement(samples=2, same=1, only_here=1)
    cell = report_of(run).cells["org-m/aime24/tools"]
    assert cell.accuracy.mean == 0.5 and cell.questions == 1 and cell.samples == 2 and cell.usage.by_tool == {"add": 2}
    assert run.manifest.suites["aime24"].scorer == "math_response"


def test_flashrags_results_are_read_from_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "hotpotqa"
    folder.mkdir()
    output = {"pred": "the Seine", "metric_score": {"em": 0}}
    item = {"id": "q1", "question": "Which river?", "golden_answers": ["Seine"], "output": output}
    (folder / "intermediate_data.json").write_text(json.dumps([item, item | {"id": "q2", "golden_answers": ["Rhine"]}]))
    (folder / "metric_score.txt").write_text("em: 0.0\n")
    run, agreement = scored([folder], tmp_path / "out", model="m")
    cell = report_of(run).cells["m/hotpotqa/no-tools"]
    assert cell.accuracy.mean == 0.5 and cell.measures["em"].mean == 0.5 and agreement.only_here == 1
    with pytest.raises(UserError, match=r"intermediate_data.json, which lies beside it"):
        read_files([folder / "metric_score.txt"])


def test_bfcl_result_files_go_to_their_own_checkers(tmp_path: Path) -> None:
    file = tmp_path / "BFCL_v4_irrelevance_result.json"
    file.write_text("".join(json.dumps({"id": f"irrelevance_{n}", "result": "I cannot."}) + "\n" for n in range(3)))
    run, _ = scored([file], tmp_path / "out", model="m")
    assert report_of(run).cells["m/bfcl-irrelevance/no-tools"].accuracy.mean == 1
    official = json.loads((run.folder / "bfcl.json").read_text())
    assert official["overall"]["partial"] and official["categories"]["irrelevance"]["scored"] == 3


def test_broken_lines_are_named_and_left_out_only_if_asked(tmp_path: Path) -> None:
    good = {"question": "1+1?", "reward_model": {"ground_truth": ["2"]}, "model_answer": "2"}
    file = tmp_path / "rows.jsonl"
    lines = [
        json.dumps(good),
        "not json",
        "[1]",
        json.dumps(good | {"reward_model": {}}),
        json.dumps({"question_id": "x"}),
    ]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as refused:
        read_files([file])
    for problem in (
        "line 2: not JSON",
        "line 3: not an object",
        "line 4: reward_model.ground_truth is no list",
        "line 5: ",
    ):
        assert problem in str(refused.value)
    found = read_files([file], skip_broken=True)
    assert len(found.items) == 1 and len(found.skipped) == 4
    (tmp_path / "odd.jsonl").write_text('{"colour": "red"}\n')
    with pytest.raises(UserError, match=r"not known: colour .*records .*flashrag .*bfcl"):
        read_files([tmp_path / "odd.jsonl"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds nothing to score"):
        read_files([tmp_path / "empty"])
    (tmp_path / "t.jsonl").write_text('{"question_id": "x", "turns": []}\n')
    with pytest.raises(UserError, match="no question 'x'"):
        read_files([tmp_path / "t.jsonl"])
