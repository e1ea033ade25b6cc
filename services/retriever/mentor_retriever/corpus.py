"""A jsonl corpus, memory-mapped: only the line offsets are kept in memory, documents are parsed when asked for."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mentor.errors import UserError

Document = dict[str, Any]
"""``id`` and ``contents`` as strings, then the line's other fields as they are."""


class Corpus:
    """Random access to the documents of a file. Safe to use from several threads.

    Raises:
        UserError: naming the file, and the line where one is at fault.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise UserError(f"{path} is empty", field="corpus_path") from None
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}", field="corpus_path") from None
        self._starts, self.fingerprint = self._scan()
        if not len(self._starts):
            raise UserError(f"{path} holds no documents", field="corpus_path")

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, position: int) -> Document:
        start = int(self._starts[position])
        end = self._data.find(b"\n", start)
        return _document(json.loads(self._data[start : end if end >= 0 else len(self._data)]))

    def contents(self) -> Iterator[str]:
        """The text of every document, in order."""
        for position in range(len(self)):
            yield self[position]["contents"]

    def _scan(self) -> tuple[NDArray[np.int64], str]:
        """Offsets of the documents, each of them checked, and a hash of the file."""
        starts: list[int] = []
        digest = hashlib.sha256()
        position = 0
        for number, line in enumerate(iter(self._data.readline, b""), start=1):
            digest.update(line)
            if line.strip():
                self._check(number, line)
                starts.append(position)
            position += len(line)
        return np.asarray(starts, dtype=np.int64), digest.hexdigest()

    def _check(self, number: int, line: bytes) -> None:
        try:
            _document(json.loads(line))["contents"].encode("utf-8")
        except (ValueError, TypeError, KeyError) as error:
            reason = error.args[0] if isinstance(error, KeyError) else error
            raise UserError(f"{self.path}:{number}: {reason}", field="corpus_path") from None


def _document(fields: Any) -> Document:
    if not isinstance(fields, dict):
        raise TypeError(f"a document is a JSON object, not a {type(fields).__name__}")
    if "id" not in fields:
        raise KeyError("a document needs an id")
    if "contents" in fields:
        contents = fields["contents"]
    elif "text" in fields:
        contents = f"{fields['title']}\n{fields['text']}" if fields.get("title") else fields["text"]
    else:
        raise KeyError("a document needs contents (or text)")
    if not isinstance(contents, str):
        raise TypeError(f"contents must be a string, not a {type(contents).__name__}")
    return {**fields, "id": str(fields["id"]), "contents": contents}
