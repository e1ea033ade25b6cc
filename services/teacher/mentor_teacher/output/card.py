"""The data set's card: README.md, whose head tells ``datasets.load_dataset`` what is where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mentor.data import write_text
from mentor_teacher.output.layout import PREFERENCES, REFERENCES, SFT, SFT_TEXT, TRAJECTORIES, named
from mentor_teacher.output.manifest import Manifest
from mentor_teacher.output.statistics import Statistics, funnel

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_HOLDS = {
    REFERENCES: "a question a row with its answers, tools and references: the published MENTOR/ReCall columns",
    SFT: "a reference a row: `messages` with tool calls, and `tools` (TRL, chat templates)",
    SFT_TEXT: "the same with tools, calls and results written out in `messages` (verl)",
    PREFERENCES: "pairs: `prompt`, `chosen`, `rejected`, `tools` (TRL), of the kind in `kind`",
    TRAJECTORIES: "every trajectory whole, dropped ones included, with `fate` and `why`",
}


def write_card(manifest: Manifest, found: Statistics, filled: dict[str, list[str]], path: Path, name: str) -> None:
    """Write the card.

    Args:
        filled: by kind of file, the splits that have a row; others are not announced, since an empty file has no columns
            to guess.
    """
    head = yaml.safe_dump(_head(manifest, found, filled, name), sort_keys=False, allow_unicode=True)
    write_text(path, f"---\n{head}---\n{_body(manifest, found, filled, name)}")


def _head(manifest: Manifest, found: Statistics, filled: dict[str, list[str]], name: str) -> dict[str, Any]:
    splits = list(manifest.splits) or ["train"]
    configs: list[dict[str, Any]] = []
    for kind, present in filled.items():
        files = [{"split": split, "path": named(kind, split, splits, ".parquet")} for split in present]
        if files:
            configs.append({"config_name": kind, "data_files": files} | ({"default": True} if not configs else {}))
    size = next((label for most, label in _SIZES if found.questions_with_references < most), "n>1M")
    return {
        "pretty_name": name, "task_categories": ["question-answering", "text-generation"],
        "tags": ["tool-use", "function-calling", "distillation", "mentor"], "size_categories": [size], "configs": configs,
    }  # fmt: skip


def _body(manifest: Manifest, found: Statistics, filled: dict[str, list[str]], name: str) -> str:
    origin = manifest.origin
    lines = [
        f"# {_cell(name)}", "",
        f"Tool use for distillation, made by MENTOR (`{origin.kind}`) from {_cell(origin.model or 'an unnamed model')} on "
        f"{manifest.made}. {found.questions:,} questions, {found.questions_with_references:,} of them with references; "
        f"{found.trajectories:,} trajectories, {found.kept:,} kept.", "",
        "| configuration | rows | splits |", "|---|---|---|",
        *(f"| `{kind}` | {_HOLDS[kind]} | {', '.join(splits)} |" for kind, splits in filled.items() if splits), "",
        "```python", "from datasets import load_dataset", "", 'load_dataset("FOLDER", "sft", split="train")', "```", "",
        "## What became of the trajectories", "", "| step | change | left |", "|---|---:|---:|",
        *(f"| {_cell(step)} | {change:,} | {left:,} |" for step, change, left in funnel(found)), "",
        "## Provenance", "", f"- code: `{manifest.code[:16]}…`, versions and the whole spec in `manifest.json`",
        f"- tools: {', '.join(f'`{_cell(tool)}`' for tool in manifest.tools) or 'none'}",
        *(f"- input: `{_cell(file)}`, SHA-256 `{sha}`" for file, sha in origin.inputs.items()),
        *(f"- merged: `{_cell(part)}`" for part in origin.merged),
        "- the licence is that of the questions and of the model's output: this tool cannot know it", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Somebody's text within Markdown: one line, nothing that ends a cell or begins a tag."""
    plain = " ".join(text.split())
    return plain.replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
