"""What a later reader has to know of how something was made: versions, code, tools, files, by digests."""

from __future__ import annotations

import hashlib
import importlib
import json
import platform
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Question

_PACKAGES = ("mentor", "math-verify", "torch", "transformers", "numpy")


def versions(*others: str) -> dict[str, str]:
    """Versions of what takes part, and of ``others``, where installed."""
    found = {"python": platform.python_version()}
    for name in dict.fromkeys((*_PACKAGES, *others)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def code_digest(*packages: str) -> str:
    """SHA-256 over the sources of ``mentor`` and these packages: what has one digest ran the same code."""
    total = hashlib.sha256()
    for package in ("mentor", *packages):
        root = Path(str(importlib.import_module(package).__file__)).parent
        for file in sorted(root.rglob("*.py")):
            total.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return total.hexdigest()


def tool_digests(questions: Iterable[Question]) -> dict[str, str]:
    """SHA-256 of every tool offered, by name: its schema and source. Tools of questions' own under ``NAME (own)``."""
    registry, found = ToolRegistry(), {}
    for question in questions:
        own = question.func_schemas is not None
        for tool in registry.for_question(question):
            name = f"{tool.name} (own)" if own else tool.name
            if name not in found:
                found[name] = digest(tool.model_dump(mode="json"))
    return found


def questions_digest(questions: Sequence[Question]) -> str:
    """Of questions whole, with their tools, in order."""
    return digest([question.model_dump(mode="json") for question in questions])


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file; of a folder over its files' names and contents, sorted."""
    total = hashlib.sha256()
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            total.update(f"{file.relative_to(path)}\0".encode())
        with file.open("rb") as content:
            while chunk := content.read(1 << 20):
                total.update(chunk)
    return total.hexdigest()
