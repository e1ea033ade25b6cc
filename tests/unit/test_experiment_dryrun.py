"""What a dry run says, without anything being there to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentor.experiment.dryrun import print_plan, refused
from mentor.experiment.plan import make_plan
from tests.support.experiment_grid import grid
from tests.support.experiment_services import recorder


def test_a_dry_run_tells_what_a_grid_of_models_that_are_not_here_takes(tmp_path: Path) -> None:
    worlds: dict[str, Any] = {
        "one": {"folder": "world", "questions": "train.jsonl", "evaluation": {"near": {"file": "eval.jsonl"}}}
    }
    worlds["one"]["teacher"] = {"model": {"url": "https://api.example.com/v1", "name": "big"}}
    spec = grid(
        tmp_path, worlds=worlds, students={"seven": {"path": "Qwen/Qwen2.5-7B-Instruct"}},
        services=dict.fromkeys(("teacher", "trainer", "evaluator"), "http://127.0.0.1:9"),
        costs={"gpus_per_training": 8, "seconds_per_step": 90, "seconds_to_start": 0, "price_per_gpu_hour": 2.5,
               "tokens_per_trajectory": 500, "teacher_price_per_million_tokens": 10},
    )  # fmt: skip
    console = recorder()
    assert print_plan(spec, [], tmp_path / "work", console)
    told = console.export_text()
    rows = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in told.splitlines() if line.count("│") == 8}
    shown = {name: [cell.strip() for cell in cells] for name, cells in rows.items()}
    assert shown["teacher"] == ["1", "0", "24", "12,000", "0.0", "0.12"]
    assert shown["train"] == ["1", "3", "24", "12,000", "0.6", "1.50"]  # 3 steps x 90 s x 8 GPUs
    assert shown["evaluate"][:3] == ["5", "0", str(3 * 12 + 2 * 6)]
    assert "8 GPUs (costs.gpus_per_training)" in told and "the trainer's defaults" in told
    assert told.count("not checked against the service's schema") == 3
    assert not (tmp_path / "results").exists()


def test_specs_are_held_against_the_services_schema(tmp_path: Path) -> None:
    plan = make_plan(grid(tmp_path))
    steps = [step for step in plan.steps.values() if step.kind == "train"]
    fields: dict[str, Any] = {name: {} for name in steps[0].spec}
    good = {"type": "object", "properties": fields, "additionalProperties": False}
    assert list(refused(steps, good)) == []
    (line,) = refused(steps, {**good, "properties": {**fields, "rollouts": {"minimum": 4}}})
    assert line.startswith("train one.tiny.mentor.s0: rollouts: 2")
