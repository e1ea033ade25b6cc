"""A jsonl corpus, memory-mapped as its offsets are: nothing of it is kept in memory, documents are parsed when asked for."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mentor.errors import UserError
from mentor_retriever.corpus.offsets import find_offsets

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
            self._data.madvise(mmap.MADV_RANDOM)
        except ValueError:
            raise UserError(f"{path} is empty", field="corpus_path") from None
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}", field="corpus_path") from None
        offsets = find_offsets(path, self._check)
        self._starts, self.fingerprint = offsets.starts, offsets.sha256
        if not len(self):
            raise UserError(f"{path} holds no documents", field="corpus_path")

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, position: int) -> Document:
        start, after = int(self._starts[position]), int(self._starts[position + 1])
        return _document(json.loads(self._data[start:after].split(b"\n", 1)[0]))

    def contents(self, begin: int = 0, end: int | None = None) -> Iterator[str]:
        """The text of the documents from ``begin`` up to ``end`` (all of them), in order."""
        for position in range(begin, len(self) if end is None else end):
            yield self[position]["contents"]

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
