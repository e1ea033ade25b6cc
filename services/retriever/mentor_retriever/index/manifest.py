"""What a built index is, kept in its folder, so that it is never used with another corpus or encoder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mentor.errors import UserError

NAME = "manifest.json"
SCHEMA_VERSION = 1
INDEX, VECTORS, BM25 = "index.faiss", "vectors.faiss", "bm25"
"""Files of a folder: the searched index, fp32 vectors for re-ranking (a flat index themselves), a folder of bm25s."""
_COMPARED = ("encoder", "documents", "corpus_sha256")


@dataclass(frozen=True)
class FileRecord:
    """Size and checksum of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """``encoder`` names the model's folder, prefixes and pooling; it is empty for BM25, as ``dimension`` is 0.

    ``nprobe`` and ``refine`` are what searches use unless the settings say otherwise. ``files`` are relative to the folder.
    """

    kind: str
    method: str
    corpus_sha256: str
    documents: int
    encoder: str = ""
    dimension: int = 0
    seed: int = 0
    nprobe: int | None = None
    refine: int = 0
    files: dict[str, FileRecord] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def check(self, expected: dict[str, Any], folder: Path) -> None:
        """Compare with what the service has.

        Raises:
            UserError: the index belongs to something else, or a file is missing or cut short.
        """
        for name in _COMPARED:
            if name in expected and getattr(self, name) != expected[name]:
                message = f"{folder} was built for another {name} ({getattr(self, name)!r}, now {expected[name]!r})"
                raise UserError(message, field="index_path")
        for name, record in self.files.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != record.bytes:
                raise UserError(f"{path} is missing or not {record.bytes} bytes long", field="index_path")

    def write(self, folder: Path) -> None:
        """Put it into a folder that is complete."""
        fresh = folder / f"{NAME}.part"
        fresh.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        fresh.replace(folder / NAME)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises:
        UserError: there is none, it cannot be read, or it is of a later version.
    """
    path = folder / NAME
    if not path.is_file():
        raise UserError(f"{folder} holds no index (no {NAME}); was its build finished?", field="index_path")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["schema_version"] > SCHEMA_VERSION:
            message = f"{path} is of schema version {kept['schema_version']}, this is for {SCHEMA_VERSION}"
            raise UserError(message, field="index_path")
        files = {name: FileRecord(**record) for name, record in kept.pop("files").items()}
        return Manifest(**kept, files=files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot read {path}: {error}", field="index_path") from None


def record(path: Path) -> FileRecord:
    """Size and checksum of a file as it is."""
    with path.open("rb") as file:
        return FileRecord(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
