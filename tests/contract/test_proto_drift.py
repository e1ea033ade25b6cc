"""The committed stubs are what the protos give, and the protos are clean."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_stubs_match_protos_and_protos_lint_clean() -> None:
    env = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run([ROOT / "scripts" / "proto.sh", "--check"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
