"""The documentation's shell blocks do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, WHERE, Block, blocks


@pytest.mark.parametrize("block", [block for block in blocks() if not block.where], ids=str)
def test_the_block_runs(block: Block) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "160",
    }
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_every_block_says_where_it_runs() -> None:
    assert [str(block) for block in blocks() if block.where not in WHERE] == []
    assert sum(not block.where for block in blocks()) >= 5
