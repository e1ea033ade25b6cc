"""A small grid file with its world: questions of one addition each, folders in place of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mentor.data import write_questions
from mentor.experiment.spec import ExperimentSpec, read_experiment
from tests.support.training import addition

SAMPLING = {"temperature": 1.0, "max_tokens": 64}


def grid_values(**changes: Any) -> dict[str, Any]:
    """Fields of a grid file: one world, one student, a trained method, and one that only asks otherwise."""
    values: dict[str, Any] = {
        "name": "small",
        "worlds": {
            "one": {
                "folder": "world",
                "questions": "train.jsonl",
                "evaluation": {"in_domain": {"file": "eval.jsonl"}},
                "teacher": {"model": {"path": "teacher"}},
            }
        },
        "students": {"tiny": {"path": "student"}},
        "methods": {
            "mentor": {"train": {"reward": "flexible"}},
            "cold": {"evaluate": {"sampling": {"temperature": 0.3}}},
        },
        "grid": [{"methods": ["teacher", "vanilla", "cold", "mentor"], "seeds": [0]}],
        "defaults": {
            "teacher": {"samples": 2, "sampling": SAMPLING | {"seed": 7}},
            "train": {"device": "cpu", "train_batch_size": 4, "rollouts": 2, "total_steps": 3},
            "evaluate": {"samples": 2, "sampling": SAMPLING},
        },
    }
    return values | changes


def write_grid(folder: Path, **changes: Any) -> Path:
    """The grid file and its world in a folder."""
    world = folder / "world"
    for name in ("teacher", "student"):
        (world / name).mkdir(parents=True, exist_ok=True)
        (world / name / "config.json").write_text(f'"{name}"')
    write_questions([addition(1, n) for n in range(12)], world / "train.jsonl")
    write_questions([addition(2, n) for n in range(6)], world / "eval.jsonl")
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(grid_values(**changes), sort_keys=False))
    return path


def grid(folder: Path, **changes: Any) -> ExperimentSpec:
    """The same, read."""
    return read_experiment(write_grid(folder, **changes))
