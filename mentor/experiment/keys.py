"""What a step is made of, as one digest: its spec with files by content and other steps' outputs by those steps' digests."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentor.jobs.artifacts import measure

_LIBRARY = ("rollout", "rewards", "chat", "tools", "grading", "inference", "data")
_SERVICES = ("mentor_trainer", "mentor_teacher", "mentor_evaluator")
_SOURCES = (".py", ".yaml", ".txt", ".jinja", ".jinja2", ".j2")


@dataclass(frozen=True)
class File:
    """A file or folder here, known by its content."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Output:
    """What another step leaves under a name; ``step`` is that step's digest."""

    step: str
    name: str


class Digests:
    """Digests of files and folders, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def file(self, path: Path) -> File:
        """A path with its digest; of a folder it is over relative names and contents, sorted."""
        if path not in self._known:
            self._known[path] = measure(path)[1]
        return File(path, self._known[path])


def resolved(value: Any, file: Callable[[File], Any], output: Callable[[Output], Any]) -> Any:
    """A spec as plain values, its files and outputs of other steps replaced by what they are there."""
    if isinstance(value, File):
        return file(value)
    if isinstance(value, Output):
        return output(value)
    if isinstance(value, Mapping):
        return {str(key): resolved(inner, file, output) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(inner, file, output) for inner in value]
    return value


def canonical(value: Any) -> Any:
    """A spec as plain JSON values that do not depend on where anything lies."""
    return resolved(value, lambda f: {"file": f.digest}, lambda o: {"step": o.step, "name": o.name})


def digest_of(value: Any) -> str:
    """SHA-256 of a spec in its canonical form."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def outputs_in(value: Any) -> list[Output]:
    """Every output of another step that a spec names."""
    found: list[Output] = []
    resolved(value, lambda f: None, found.append)
    return found


def run_key(content: str, codes: Iterable[str]) -> str:
    """The key of a record: what its run is made of, and the code that made it (one version, or several mixed)."""
    return digest_of({"content": content, "code": sorted(set(codes))})


def code_version() -> str:
    """Digest of the sources that can change results: the parts of the library that jobs run, and the three job services.

    It is taken where the command runs; a service that is not installed here does not count.
    """
    digest = hashlib.sha256()
    for name, folder in _source_folders():
        for file in sorted(path for path in folder.rglob("*") if path.suffix in _SOURCES):
            digest.update(f"{name}/{file.relative_to(folder)}".encode() + b"\0" + file.read_bytes())
    digest.update((Path(__file__).parent / "derive.py").read_bytes())
    return digest.hexdigest()


def _source_folders() -> Iterator[tuple[str, Path]]:
    library = Path(__file__).resolve().parents[1]
    yield from ((name, library / name) for name in _LIBRARY)
    for service in _SERVICES:
        found = importlib.util.find_spec(service)  # finds without importing: no torch here
        for place in (found.submodule_search_locations or ()) if found else ():
            yield service, Path(place)
