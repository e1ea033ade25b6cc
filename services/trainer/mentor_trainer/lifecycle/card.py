"""The model card of a trained student: what it was made of, how, by which code, and what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mentor.data import write_text
from mentor.data.provenance import code_digest, digest, file_digest, versions
from mentor_trainer.config import TrainSpec

CARD = "README.md"
_SHOWN = ("reward", "correctness", "alignment", "validation", "invalid_rate", "usage_rate", "loss", "kl", "entropy")


def write_card(
    spec: TrainSpec, model: Path, step: int, metrics: Mapping[str, float], evaluations: list[dict[str, Any]]
) -> None:
    """Write it into a model's folder.

    Args:
        step: of the weights that the folder holds.
        metrics: of the last step that was trained.
        evaluations: lines of ``evaluations.jsonl``.
    """
    base = _front_matter(Path(spec.model) / CARD)
    header = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": Path(spec.model).name,
        "license": base.get("license", "unknown"),
        "tags": ["mentor", "tool-use", spec.algorithm],
    }
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---",
        f"# {spec.name}\n\n{_words(spec, step)}",
        f"## Settings\n\n```json\n{json.dumps(_settings(spec), indent=1)}\n```",
        f"## Data\n\n{_table(('file', 'field', 'SHA-256'), _data(spec))}",
        f"## Code\n\n{_table(('what', 'version'), _code(spec))}",
        f"## Measured\n\n{_measured(metrics, evaluations)}",
        "The licence is the base model's, where its folder states one; data and teacher may add terms of their own.",
    ]
    write_text(model / CARD, "\n\n".join(parts) + "\n")


def _words(spec: TrainSpec, step: int) -> str:
    reward = f", reward `{spec.reward}`" if spec.algorithm == "grpo" else ""
    return f"`{Path(spec.model).name}` after {step} steps of `{spec.algorithm}`{reward}, seed {spec.seed}."


def _settings(spec: TrainSpec) -> dict[str, Any]:
    """What was set; defaults are the code's."""
    return {k: v for k, v in spec.model_dump(mode="json", exclude_defaults=True).items() if k not in _PLACES}


_PLACES = ("output_dir", "sandbox_url", "retriever_url", "evaluator_url", "ray_address", "model",
           "train_files", "val_files", "trajectory_files", "preference_files", "pass_rate_files")  # fmt: skip
"""Fields that name places of the machine that trained."""


def _data(spec: TrainSpec) -> list[tuple[str, ...]]:
    fields = ("train_files", "val_files", "trajectory_files", "preference_files", "pass_rate_files")
    return [
        (Path(file).name, field, file_digest(Path(file)) if Path(file).exists() else "not here")
        for field in fields
        for file in getattr(spec, field)
    ]


def _code(spec: TrainSpec) -> list[tuple[str, ...]]:
    return [
        *versions("verl", "trl", "vllm", "sglang").items(),
        ("code", code_digest("mentor_trainer")),
        ("settings", digest(spec.model_dump(mode="json"))),
    ]


def _measured(metrics: Mapping[str, float], evaluations: list[dict[str, Any]]) -> str:
    rows = [(name, f"{metrics[name]:.4g}") for name in _SHOWN if name in metrics]
    tables = [_table(("metric of the last step", "value"), rows)] if rows else []
    if evaluations:
        found = [
            (str(e["step"]), cell, f"{100 * value:.1f}%") for e in evaluations for cell, value in e["accuracy"].items()
        ]
        tables.append(_table(("step", "suite and arm", "accuracy"), found))
    return "\n\n".join(tables) or "Nothing was measured while it trained."


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _front_matter(card: Path) -> dict[str, Any]:
    """What a base model's own card says of itself; nothing where it has none."""
    if not card.is_file():
        return {}
    parts = card.read_text(encoding="utf-8", errors="replace").split("---", 2)
    try:
        found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else {}
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
