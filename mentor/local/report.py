"""The report of a distillation: one HTML file that needs nothing else, with curves and a browser of trajectories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader
from plotly.subplots import make_subplots

from mentor.data import iter_trajectories, write_text
from mentor.figures import COLOURS, embedded, json_for_script, label, styled
from mentor.local import table
from mentor.local.distill import SPLIT, Outcome
from mentor.trajectory import Question, Trajectory

CURVES = (
    ("reward", "reward (mean of the batch)"),
    ("correctness", "R_c: correct answers"),
    ("alignment", "R_a: alignment with the teacher"),
    ("validation", "R_v: no failing call"),
    ("invalid_rate", "invalid-call rate"),
    ("usage_rate", "tool usage rate"),
)
_SHOWN_PER_SPLIT = 25


def write_report(summary: dict[str, Any], outcome: Outcome, output: Path) -> Path:
    """Write ``report.html`` from the summary and the files beside it; returns its path."""
    environment = Environment(loader=PackageLoader("mentor.local", "templates"), autoescape=True)
    html = environment.get_template("report.html.j2").render(
        name=outcome.spec.name,
        summary=summary,
        rows=_rows(summary),
        differences={n: table.difference_line(d) for n, d in summary["differences"].items()},
        figures=_figures(summary, outcome, output),
        dialogues=json_for_script(_dialogues(outcome, output)),
    )
    path = output / "report.html"
    write_text(path, html)
    return path


def _rows(summary: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "model": name,
            "in_domain": table.accuracy(row["in_domain"]),
            "out_of_domain": table.accuracy(row["out_of_domain"]),
            "greedy": table.plain((row.get("greedy") or {}).get("in_domain")),
            "greedy_out": table.plain((row.get("greedy") or {}).get("out_of_domain")),
            "alignment": table.number(row["alignment_score"]),
            "floor": table.number((row.get("alignment") or {}).get("noise_floor")),
            "usage": table.percent(row["usage_rate"]),
            "invalid": table.percent(row["invalid_rate"]),
            "calls": f"{row['calls_per_question']:.2f}",
        }
        for name, row in summary["models"].items()
    ]


def _figures(summary: dict[str, Any], outcome: Outcome, output: Path) -> list[str]:
    figures = [_accuracy_figure(summary)]
    curves = {arm: _steps(output / "training" / f"{arm}.jsonl") for arm in outcome.arms}
    drawn = {arm: steps for arm, steps in curves.items() if any("reward" in step for step in steps)}
    if drawn:
        figures.append(_curves_figure(drawn))
    return embedded(figures)


def _steps(path: Path) -> list[dict[str, float]]:
    """Metrics of each step, by their short names."""
    if not path.exists():
        return []
    steps: list[dict[str, float]] = []
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        values = entry.get("data", entry)
        short = {key.removeprefix("mentor/"): value for key, value in values.items() if key.startswith("mentor/")}
        if short:
            steps.append({"step": entry.get("step", len(steps) + 1), **short})
    return steps


def _accuracy_figure(summary: dict[str, Any]) -> go.Figure:
    figure = go.Figure()
    names = list(summary["models"])
    for colour, group in zip(COLOURS, ("in_domain", "out_of_domain"), strict=False):
        entries = [summary["models"][name][group] for name in names]
        if not all(entries):
            continue
        means = [100 * e["accuracy"] for e in entries]
        figure.add_bar(
            name=group.replace("_", " "),
            x=[label(name) for name in names],
            y=means,
            marker_color=colour,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * e["high"] - m for e, m in zip(entries, means, strict=True)],
                "arrayminus": [m - 100 * e["low"] for e, m in zip(entries, means, strict=True)],
            },
        )
    figure.update_layout(title="Accuracy, sampled, with 95% intervals", yaxis_title="%", yaxis_range=[0, 100])
    return styled(figure, 380)


def _curves_figure(curves: dict[str, list[dict[str, float]]]) -> go.Figure:
    figure = make_subplots(rows=2, cols=3, subplot_titles=[title for _, title in CURVES])
    for colour, (arm, steps) in zip(COLOURS, curves.items(), strict=False):
        for index, (key, _) in enumerate(CURVES):
            points = [(step["step"], step[key]) for step in steps if key in step]
            figure.add_scatter(
                x=[x for x, _ in points],
                y=[y for _, y in points],
                name=label(arm),
                legendgroup=arm,
                showlegend=index == 0,
                line_color=colour,
                row=index // 3 + 1,
                col=index % 3 + 1,
            )
    figure.update_layout(title="Training, one point per step")
    figure.update_xaxes(title_text="step", row=2)
    return styled(figure, 560)


def _dialogues(outcome: Outcome, output: Path) -> list[dict[str, Any]]:
    """For some questions of every split: the first sample of each model."""
    folder = output / "trajectories"
    models = ["vanilla", *outcome.arms, "teacher"]
    first = {
        model: {t.question_id: t for t in iter_trajectories(folder / f"{model}.jsonl") if t.sample == 0}
        for model in models
        if (folder / f"{model}.jsonl").exists()
    }
    seen: dict[str, int] = {}
    shown = []
    for question in outcome.evaluation:
        split = str(question.metadata[SPLIT])
        seen[split] = seen.get(split, 0) + 1
        if seen[split] <= _SHOWN_PER_SPLIT:
            shown.append(_dialogue(question, split, {m: found.get(question.id) for m, found in first.items()}))
    return shown


def _dialogue(question: Question, split: str, by_model: dict[str, Trajectory | None]) -> dict[str, Any]:
    return {
        "id": question.id,
        "split": split,
        "question": question.question,
        "answers": question.answers,
        "models": {model: _shown(t) for model, t in by_model.items() if t is not None},
    }


def _shown(trajectory: Trajectory) -> dict[str, Any]:
    turns = [
        {
            "text": turn.text or "\n".join(f"{call.name}({json.dumps(call.arguments)})" for call in turn.tool_calls),
            "observations": [{"name": o.name, "content": o.content, "ok": o.ok} for o in turn.observations],
        }
        for turn in trajectory.turns
    ]
    return {
        "turns": turns,
        "answer": trajectory.answer,
        "correct": bool(trajectory.metadata.get("correct")),
        "termination": str(trajectory.termination),
    }
