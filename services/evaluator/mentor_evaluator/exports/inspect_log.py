"""inspect: logs that ``inspect view`` and ``inspect_ai.log.read_eval_log`` open (JSON, version 2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentor.analysis.tokens import generated_tokens, prompt_tokens
from mentor.data import write_text
from mentor.trajectory import Question, Termination, Trajectory
from mentor_evaluator.exports import _facts as facts
from mentor_evaluator.measures.models import CellReport
from mentor_evaluator.measures.reading import report_of
from mentor_evaluator.records import messages
from mentor_evaluator.runs import CellFolder, Run

LOG_VERSION = 2
_STOPS = {Termination.ANSWERED: "stop", Termination.LENGTH: "max_tokens", Termination.REFUSED: "content_filter"}


class _Inspect:
    name = "inspect"
    summary = "inspect-ai logs, one per cell, that its viewer opens"

    def export(self, run: Run, folder: Path) -> Sequence[Path]:
        reports = report_of(run).cells
        written = []
        for cell in (cell for cell in run.cells() if cell.key in reports):
            stamp = facts.drawn_at(run).strftime("%Y-%m-%dT%H-%M-%S+00-00")
            path = folder / f"{stamp}_{cell.suite}-{cell.arm}_{_id(cell.key)}.json"
            write_text(path, json.dumps(_log(run, cell, reports[cell.key]), ensure_ascii=False, indent=1) + "\n")
            written.append(path)
        return written


def _id(text: str) -> str:
    """22 characters that stand for it."""
    return hashlib.sha256(text.encode()).hexdigest()[:22]


def _log(run: Run, cell: CellFolder, report: CellReport) -> dict[str, Any]:
    at = facts.drawn_at(run).isoformat()
    scorer = run.manifest.suites[cell.suite].scorer if cell.suite in run.manifest.suites else "judge"
    questions = {question.id: question for question in cell.questions}
    samples = [_sample(questions[t.question_id], t, cell, scorer) for t in facts.surviving(cell)]
    return {
        "version": LOG_VERSION,
        "status": "success",
        "eval": _spec(run, cell, report, at),
        "plan": {"name": "plan", "steps": [{"solver": "mentor", "params": {"arm": cell.arm}}], "config": {}},
        "results": _results(report, scorer, len(samples)),
        "stats": {"started_at": at, "completed_at": at, "model_usage": {cell.model: _usage_of(samples)}},
        "samples": samples,
    }


def _spec(run: Run, cell: CellFolder, report: CellReport, at: str) -> dict[str, Any]:
    identity = f"{run.name}/{cell.key}"
    drawn = facts.sampling(run, cell.model)
    config = {
        name: drawn[name] for name in ("temperature", "top_p", "max_tokens", "seed") if drawn.get(name) is not None
    }
    return {
        "eval_id": _id(f"{identity}/eval"), "run_id": _id(run.name), "created": at,
        "task": f"{cell.suite}/{cell.arm}", "task_id": _id(identity), "task_version": 0, "task_attribs": {}, "task_args": {},
        "dataset": {"name": cell.suite, "samples": report.questions, "sample_ids": [q.id for q in cell.questions],
                    "shuffled": False},
        "model": cell.model, "model_generate_config": config, "model_args": {},
        "config": {"epochs": report.samples, "epochs_reducer": ["mean"]},
        "packages": dict(run.manifest.versions), "metadata": {"code": run.manifest.code},
    }  # fmt: skip


def _results(report: CellReport, scorer: str, samples: int) -> dict[str, Any]:
    found = report.accuracy
    values = {"accuracy": found.mean, "low": found.low, "high": found.high}
    values |= {name: estimate.mean for name, estimate in report.measures.items()}
    metrics = {name: {"name": name, "value": value, "params": {}} for name, value in values.items()}
    score = {"name": scorer, "scorer": scorer, "reducer": "mean", "params": {}, "metrics": metrics}
    return {"total_samples": report.questions * report.samples, "completed_samples": samples, "scores": [score]}


def _sample(question: Question, trajectory: Trajectory, cell: CellFolder, scorer: str) -> dict[str, Any]:
    spoken = _messages(question, trajectory, cell.model)
    last = next((m for m in reversed(spoken) if m["role"] == "assistant"), {"role": "assistant", "content": ""})
    said = facts.verdict(trajectory)
    score = {
        "value": "C" if facts.is_right(trajectory) else "I", "answer": trajectory.answer,
        "explanation": said.get("reason"), "metadata": said.get("values") or {},
    }  # fmt: skip
    usage = _usage(trajectory)
    stop = _STOPS.get(trajectory.termination, "unknown")
    return {
        "id": question.id,
        "epoch": trajectory.sample + 1,
        "input": question.question,
        "target": list(question.answers),
        "messages": spoken,
        "output": {"model": cell.model, "choices": [{"message": last, "stop_reason": stop}], "usage": usage},
        "scores": {scorer: score},
        "metadata": {"termination": str(trajectory.termination), "category": question.category},
        "store": {},
        "events": [],
        "model_usage": {cell.model: usage},
        "total_time": trajectory.duration_s,
        "attachments": {},
    }


def _usage(trajectory: Trajectory) -> dict[str, int]:
    sent, written = round(prompt_tokens(trajectory)), round(generated_tokens(trajectory))
    return {"input_tokens": sent, "output_tokens": written, "total_tokens": sent + written}


def _usage_of(samples: Sequence[dict[str, Any]]) -> dict[str, int]:
    used = [usage for sample in samples for usage in sample["model_usage"].values()]
    return {name: sum(u[name] for u in used) for name in ("input_tokens", "output_tokens", "total_tokens")}


def _messages(question: Question, trajectory: Trajectory, model: str) -> list[dict[str, Any]]:
    found = [_message(message, model) for message in messages(question, trajectory)]
    return [{**message, "id": _id(f"{question.id}/{trajectory.sample}/{n}")} for n, message in enumerate(found)]


def _message(message: dict[str, Any], model: str) -> dict[str, Any]:
    role, content = message["role"], message.get("content") or ""
    if role == "assistant":
        calls = [_call(call) for call in message.get("tool_calls") or ()]
        found = {"role": role, "content": content, "source": "generate", "model": model}
        return found | {"tool_calls": calls} if calls else found
    if role == "tool":
        return {
            "role": role, "content": content, "tool_call_id": message.get("tool_call_id"), "function": message.get("name"),
        }  # fmt: skip
    return {"role": role, "content": content}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments, problem = function.get("arguments") or {}, None
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except json.JSONDecodeError as error:
            arguments, problem = {}, f"not JSON: {error.msg}"
    if not isinstance(arguments, dict):
        arguments, problem = {}, "not an object"
    found = {"id": call.get("id") or "", "function": function["name"], "arguments": arguments, "type": "function"}
    return found | {"parse_error": problem} if problem else found


PLUGIN = _Inspect()
