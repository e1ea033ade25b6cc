"""In the gate a skip that nobody has listed fails the run, whether tests run one by one or side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPS = "import pytest\n\ndef test_one() -> None: ...\n\ndef test_two() -> None:\n    pytest.skip('no browser')\n"
AT_IMPORT = "import pytest\n\npytest.skip('no torch', allow_module_level=True)\n"


def outcome(folder: Path, ci: str, *options: str) -> tuple[int, str]:
    (folder / "test_skipping.py").write_text(SKIPS)
    (folder / "test_at_import.py").write_text(AT_IMPORT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", os.devnull, "--rootdir", str(folder)]
    done = subprocess.run(
        [*command, *options, str(folder)],
        capture_output=True, text=True, cwd=folder, env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("options", [(), ("--numprocesses", "1")])
def test_an_unlisted_skip_fails_the_gate_and_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, output = outcome(tmp_path, "true", *options)
    assert code == 1
    assert "test_two: Skipped: no browser" in output and "test_at_import.py: Skipped: no torch" in output


def test_elsewhere_a_skip_is_a_skip(tmp_path: Path) -> None:
    assert outcome(tmp_path, "")[0] == 0
