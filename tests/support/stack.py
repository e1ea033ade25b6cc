"""A whole local stack for end-to-end tests, on free ports and in a folder of its own."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from mentor.jobs.client import JobClient
from mentor.local.layout import ModelServer, StackSpec
from mentor.local.stack import is_free

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "examples" / "tiny"
KINDS = {"teacher": "teacher", "train": "trainer", "evaluate": "evaluator"}


def free_stack(home: Path, *, teacher: bool = True) -> StackSpec:
    """A stack all of whose ports are free now."""
    models = (ModelServer(name="teacher", path=str(TINY / "checkpoints" / "teacher")),) if teacher else ()
    for _ in range(200):
        spec = StackSpec(home=str(home), port_offset=random.randrange(200, 9000), models=models)
        if all(is_free(port) for port in spec.ports()):
            return spec
    raise AssertionError("no free ports")


def teacher_model(spec: StackSpec) -> dict[str, Any]:
    """The served teacher as a model source."""
    return {"url": f"http://127.0.0.1:{8000 + spec.port_offset}", "name": "teacher"}


def backends(spec: StackSpec, **more: Any) -> dict[str, Any]:
    """Tool backends of a stack."""
    return {"sandbox": spec.target("sandbox"), "retriever": spec.target("retriever"), **more}


def client(spec: StackSpec, kind: str) -> JobClient:
    """Client of the service that runs a kind."""
    return JobClient(spec.url(KINDS[kind]), outage_s=10)


def mentor(*arguments: str, cwd: Path | None = None, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    command = [sys.executable, "-m", "mentor.cli", *arguments]
    return subprocess.run(command, cwd=cwd or ROOT, capture_output=True, text=True, timeout=timeout)
