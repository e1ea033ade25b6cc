"""lm-eval: a folder in the result format of EleutherAI's evaluation harness (``results_*.json``, ``samples_*.jsonl``)."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentor.analysis.intervals import Estimate
from mentor.data import write_text
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.exports import _facts as facts
from mentor_evaluator.measures.models import CellReport
from mentor_evaluator.measures.reading import report_of
from mentor_evaluator.records import messages
from mentor_evaluator.runs import CellFolder, Run

_METRIC = "exact_match"
_FILTER = "none"
_Z = 1.959963984540054


class _LmEval:
    name = "lm-eval"
    summary = "results_*.json and samples_*.jsonl of the lm-eval harness, a folder per model"

    def export(self, run: Run, folder: Path) -> Sequence[Path]:
        reports = report_of(run).cells
        by_model: dict[str, list[CellFolder]] = defaultdict(list)
        for cell in (cell for cell in run.cells() if cell.key in reports):
            by_model[cell.model].append(cell)
        stamp = facts.drawn_at(run).strftime("%Y-%m-%dT%H-%M-%S.000000")
        written = []
        for model, cells in by_model.items():
            place = folder / model.replace("/", "__")
            path = place / f"results_{stamp}.json"
            write_text(path, json.dumps(_results(run, model, cells, reports), indent=2) + "\n")
            written += [path, *(_write_samples(cell, place / f"samples_{_task(cell)}_{stamp}.jsonl") for cell in cells)]
        return written


def _task(cell: CellFolder) -> str:
    """Arms are tasks of their own there."""
    return f"{cell.suite}_{cell.arm}".replace("-", "_")


def _results(run: Run, model: str, cells: Sequence[CellFolder], reports: dict[str, CellReport]) -> dict[str, Any]:
    by_task = {_task(cell): reports[cell.key] for cell in cells}
    drawn = facts.sampling(run, model)
    suites = run.manifest.suites
    return {
        "results": {task: _scores(task, report) for task, report in by_task.items()},
        "group_subtasks": {task: [] for task in by_task},
        "configs": {
            _task(cell): {"task": _task(cell), "dataset_path": cell.suite, "output_type": "generate_until",
                          "num_fewshot": 0, "repeats": by_task[_task(cell)].samples, "generation_kwargs": drawn,
                          "metric_list": [{"metric": _METRIC, "aggregation": "mean", "higher_is_better": True}],
                          "metadata": {"scorer": suites[cell.suite].scorer if cell.suite in suites else None}}
            for cell in cells
        },
        "versions": dict.fromkeys(by_task, 0),
        "n-shot": dict.fromkeys(by_task, 0),
        "higher_is_better": {task: {_METRIC: True} for task in by_task},
        "n-samples": {
            task: {"original": r.questions, "effective": r.accuracy.clusters} for task, r in by_task.items()
        },
        "config": {"model": "mentor", "model_args": {"name": model}, "batch_size": 1, "gen_kwargs": drawn,
                   "random_seed": drawn.get("seed"), "bootstrap_iters": 0},
        "git_hash": None,
        "date": facts.drawn_at(run).timestamp(),
        "pretty_env_info": "",
        "transformers_version": run.manifest.versions.get("transformers"),
        "model_source": "mentor",
        "model_name": model,
        "model_name_sanitized": model.replace("/", "__"),
    }  # fmt: skip


def _scores(task: str, report: CellReport) -> dict[str, Any]:
    found: dict[str, Any] = {"alias": task}
    for name, estimate in {_METRIC: report.accuracy, **report.measures}.items():
        found[f"{name},{_FILTER}"] = estimate.mean
        found[f"{name}_stderr,{_FILTER}"] = _error(estimate)
    return found


def _error(estimate: Estimate) -> float:
    """The format has room for a standard error alone: the interval's width over twice 1.96."""
    return (estimate.high - estimate.low) / (2 * _Z)


def _write_samples(cell: CellFolder, path: Path) -> Path:
    questions = {question.id: question for question in cell.questions}
    places = {question.id: place for place, question in enumerate(cell.questions)}
    by_question: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in facts.surviving(cell):
        by_question[trajectory.question_id].append(trajectory)
    rows = (_sample(places[name], questions[name], found) for name, found in by_question.items())
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def _sample(place: int, question: Question, samples: Sequence[Trajectory]) -> dict[str, Any]:
    doc = {"id": question.id, "question": question.question, "answers": list(question.answers)}
    opening = messages(question, Trajectory(question=question.question))
    target = question.answers[0] if question.answers else ""
    prompt = json.dumps(opening, ensure_ascii=False)
    return {
        "doc_id": place, "doc": doc, "target": target,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {}}},
        "resps": [[facts.last_text(t) for t in samples]], "filtered_resps": [t.answer or "" for t in samples],
        "filter": _FILTER, "metrics": [_METRIC],
        "doc_hash": _hash(json.dumps(doc, sort_keys=True)), "prompt_hash": _hash(prompt), "target_hash": _hash(target),
        _METRIC: sum(map(facts.is_right, samples)) / len(samples),
    }  # fmt: skip


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


PLUGIN = _LmEval()
