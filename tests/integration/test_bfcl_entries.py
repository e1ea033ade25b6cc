"""BFCL's entries, read by ourselves, are what the package's own loader gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mentor.errors import UserError
from mentor_evaluator.bfcl.categories import ALL, SIZES, category_of, package_root
from mentor_evaluator.bfcl.entries import load_answers, load_entries

PROGRAM = """
import hashlib, json, os, sys
os.environ["BFCL_PROJECT_ROOT"] = sys.argv[1]
from bfcl_eval.utils import load_dataset_entry, load_ground_truth_entry
for category in sys.argv[2:]:
    bare = {"include_prereq": False, "include_language_specific_hint": False}
    answers = [] if "relevance" in category else [row["ground_truth"] for row in load_ground_truth_entry(category)]
    loaded = [load_dataset_entry(category), load_dataset_entry(category, **bare), answers]
    print(json.dumps({category: hashlib.sha256(json.dumps(loaded).encode()).hexdigest()}), flush=True)
"""
QUICK = ["simple_java", "simple_javascript", "live_parallel", "irrelevance", "web_search_no_snippet", "memory_vector"]


def official(folder: Path, categories: list[str]) -> dict[str, str]:
    """Digests of what the package's loader gives, with prerequisites and notes, without, and of the answers."""
    command = [sys.executable, "-c", PROGRAM, str(folder), *categories]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: digest for line in lines if line.startswith("{") for name, digest in json.loads(line).items()}


def ours(category: str) -> str:
    import hashlib

    bare, answers = load_entries(category, hints=False), load_answers(category)
    loaded = [load_entries(category, prerequisites=True), bare, [answers[e["id"]] for e in bare] if answers else []]
    return hashlib.sha256(json.dumps(loaded).encode()).hexdigest()


def test_entries_and_answers_equal_the_package_s_own(tmp_path: Path) -> None:
    assert {name: ours(name) for name in QUICK} == official(tmp_path, QUICK)


def test_every_category_has_its_size_and_every_id_names_it() -> None:
    for category in (name for name in ALL if name != "format_sensitivity"):
        ids = [entry["id"] for entry in load_entries(category, prerequisites=True)]
        assert len(set(ids)) == len(ids)
        assert {category_of(entry_id) for entry_id in ids} == {category}
        assert sum("_prereq" not in entry_id for entry_id in ids) == SIZES[category]


def test_another_version_is_refused_because_its_numbers_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mentor_evaluator.bfcl.categories.version", lambda name: "2025.1.1")
    package_root.cache_clear()
    with pytest.raises(UserError, match=r"2025\.1\.1"):
        package_root()
    monkeypatch.undo()
    package_root.cache_clear()
    assert package_root().name == "bfcl_eval"
