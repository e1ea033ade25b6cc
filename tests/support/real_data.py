"""Small real data sets that lie beside a checkout, where somebody placed them; the project carries none of them."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "data"
SETS = {
    "gsm8k": "gsm8k_test300.jsonl",
    "svamp": "svamp500.jsonl",
    "hotpotqa": "hotpotqa500.jsonl",
    "math-forge-hard": "college_math500.jsonl",  # of the same kind, and under that name here
}


def placed(folder: Path, *names: str) -> Path:
    """A data folder with these sets in it; skips, and says so, where they are not beside the checkout."""
    for name in names:
        source = FOLDER / SETS[name]
        if not source.is_file():
            pytest.skip(f"the data sets beside the project are not here: {source.name}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jsonl").symlink_to(source)
    return folder
