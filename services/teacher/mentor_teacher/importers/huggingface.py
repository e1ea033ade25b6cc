"""Hugging Face data sets: what ``datasets`` saved, a folder of parquet, arrow or JSON shards, or a name where there is a
network.

``as`` names the importer that reads the rows (``table`` where left out), which gets the other options: so GSM8K by its
name is ``as=gsm8k``, ``config=main``.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mentor.errors import UserError
from mentor_teacher.importers import IMPORTERS, Imported

_OURS = ("as", "config", "split", "revision")
_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_SAVED = ("dataset_info.json", "dataset_dict.json", "state.json")


class _HuggingFace:
    name = "huggingface"
    summary = "a Hugging Face data set, by folder or name (as: an importer of its rows; config, split, revision)"

    def read(self, path: Path, options: Mapping[str, str]) -> Imported:
        """``split``: ``train`` where left out, if there is one. ``revision``: of a name; say one, so that the data cannot
        change.
        """
        other = {key: value for key, value in options.items() if key not in _OURS}
        reader = options.get("as", "table")
        if reader == self.name:
            raise UserError(
                "as: an importer of rows", field="importer_options.as", allowed="table, messages, gsm8k, ..."
            )
        plugin = IMPORTERS.get(reader, "importer_options.as")
        with tempfile.TemporaryDirectory(prefix="mentor-import-") as scratch:
            rows = _rows(path, options, scratch)
            # A file by the data set's name: importers name the source of questions by their file.
            file = Path(scratch) / f"{path.stem or 'rows'}.jsonl"
            with file.open("w", encoding="utf-8") as lines:
                for row in rows:
                    lines.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            return plugin.read(file, other)


def _rows(path: Path, options: Mapping[str, str], scratch: str) -> Any:
    """The rows of one split.

    Raises:
        UserError: there is no such data set, configuration or split.
    """
    import datasets

    datasets.disable_progress_bars()
    try:
        found = _load(datasets, path, options, scratch)
    except UserError:
        raise
    except Exception as error:  # datasets raises what its many readers raise
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise UserError(
            f"{path} is no data set that can be read: {reason}", field="questions",
            allowed="a folder that `datasets` saved, a folder of parquet, arrow or JSON files, or OWNER/NAME",
        ) from error  # fmt: skip
    if isinstance(found, Mapping):
        split = options.get("split") or ("train" if "train" in found else next(iter(found)))
        if split not in found:
            raise UserError(f"no split {split!r}", field="importer_options.split", allowed=", ".join(found))
        found = found[split]
    return found


def _load(datasets: Any, path: Path, options: Mapping[str, str], scratch: str) -> Any:
    config, revision = options.get("config"), options.get("revision")
    if not path.exists():
        if not _NAME.fullmatch(str(path)):
            raise UserError(f"{path} does not exist", field="questions", allowed="a folder, a file, or OWNER/NAME")
        return datasets.load_dataset(str(path), config, revision=revision)
    if revision is not None:
        raise UserError("a folder has no revision", field="importer_options.revision", allowed="with OWNER/NAME alone")
    if any((path / name).is_file() for name in _SAVED):
        return datasets.load_from_disk(str(path))
    if path.is_file() or not any(path.glob("**/*.arrow")):
        kind = {".arrow": "arrow", ".parquet": "parquet", ".csv": "csv"}.get(path.suffix, "json")
        given = (kind, config, {"data_files": str(path)}) if path.is_file() else (str(path), config, {})
        return datasets.load_dataset(given[0], given[1], cache_dir=scratch, **given[2])
    shards = sorted(str(file) for file in path.glob("**/*.arrow"))
    return datasets.load_dataset("arrow", data_files=shards, cache_dir=scratch)


PLUGIN = _HuggingFace()
