"""Files that are either whole or absent: everything is written beside its place and moved there at the end."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mentor.errors import UserError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; on success it replaces the target, on failure it is removed.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise unwritable(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small text file atomically; raises as ``atomic_path``."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def read_mapping(path: Path, field: str = "spec") -> dict[str, Any]:
    """A YAML or JSON file that holds a mapping.

    Raises:
        UserError: it cannot be read or holds something else; it names ``field``.
    """
    try:
        loaded = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", field=field) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {str(error).splitlines()[0]}", field=field) from error
    if not isinstance(loaded, dict):
        raise UserError(f"{path} holds no mapping", field=field, allowed="field: value lines")
    return loaded


class JsonLine(NamedTuple):
    """``place``: ``FILE:LINE``. ``row``: of the line, from 0, empty ones counted."""

    place: str
    row: int
    value: dict[str, Any]


def json_lines(path: Path, field: str, allowed: str = "an object a line") -> Iterator[JsonLine]:
    """Objects of a JSON lines file. ``allowed``: what an error says of a line that is none.

    Raises:
        UserError: the file cannot be read, or a line is no JSON object.
    """
    check_readable(path, field)
    with path.open(encoding="utf-8", errors="replace") as lines:
        for index, line in enumerate(lines):
            if not line.strip():
                continue
            place = f"{path}:{index + 1}"
            try:
                found = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{place} is not JSON: {error.msg}", field=field) from error
            if not isinstance(found, dict):
                raise UserError(f"{place} is no object", field=field, allowed=allowed)
            yield JsonLine(place, index, found)


def unwritable(path: Path, error: OSError) -> UserError:
    """The one-line error for a place that cannot be written."""
    reason = error.strerror or str(error)
    return UserError(f"cannot write {path}: {reason}", field="path", allowed="a writable folder with free space")


def check_readable(path: Path, field: str) -> None:
    """Raise a ``UserError`` naming ``field`` unless ``path`` is a file that can be read."""
    if not path.is_file() and not path.is_fifo() and not path.is_char_device():  # a pipe on standard input will do
        what = "is a directory" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {what}", field=field, allowed="an existing file")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path} cannot be read", field=field, allowed="a readable file")


def within(path: Path, root: Path) -> bool:
    """Whether a path, with every link in it followed, lies in a folder or is it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
