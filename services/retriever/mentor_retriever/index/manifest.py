"""What an index was built from, kept beside it, so that it is never used with another corpus or encoder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mentor.errors import UserError


@dataclass(frozen=True)
class Manifest:
    """``encoder`` names the model's folder and prefixes; it is empty for BM25."""

    method: str
    corpus_sha256: str
    documents: int
    encoder: str = ""

    def check(self, index: Path) -> None:
        """Compare with the manifest beside ``index``, if it has one (an index from elsewhere has none).

        Raises:
            UserError: the index belongs to something else.
        """
        path = manifest_path(index)
        if not path.is_file():
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {error}", field="index_path") from None
        for name, expected in asdict(self).items():
            if kept.get(name) != expected:
                message = f"{index} was built for another {name} ({kept.get(name)!r}, now {expected!r}); remove it"
                raise UserError(message, field="index_path")

    def write(self, index: Path) -> None:
        """Put the manifest beside an index that is complete."""
        path = manifest_path(index)
        fresh = path.with_name(path.name + ".part")
        fresh.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        fresh.replace(path)


def manifest_path(index: Path) -> Path:
    """``NAME.manifest.json`` beside ``NAME``."""
    return index.with_name(index.name + ".manifest.json")
