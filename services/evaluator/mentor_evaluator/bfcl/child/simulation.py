"""Simulators of one sample: started, called, and for a memory read out at the end."""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from mentor_evaluator.bfcl.categories import ENCODER_NAME, MEMORY, WEB_SEARCH, Mode, category_of
from mentor_evaluator.bfcl.child.decoding import decode_steps
from mentor_evaluator.bfcl.child.vetting import Refused, vet_call
from mentor_evaluator.bfcl.child.walls import Guard
from mentor_evaluator.bfcl.entries import Entry

_MODEL = "mentor"


def present_names() -> Mapping[str, object]:
    """What has a name where calls are evaluated: the executor's globals, and its local variables (as something callable)."""
    module = _executor()
    code = module.execute_multi_turn_func_call.__code__
    hidden = dict.fromkeys((*code.co_varnames, *code.co_cellvars), object)
    return hidden | {name: value for name, value in vars(module).items() if not name.startswith("__")}


def _executor() -> ModuleType:
    return import_module("bfcl_eval.eval_checker.multi_turn_eval.multi_turn_utils")


@cache
def _methods(class_name: str) -> frozenset[str]:
    from bfcl_eval.constants.executable_backend_config import CLASS_FILE_PATH_MAPPING

    simulator = getattr(import_module(CLASS_FILE_PATH_MAPPING[class_name]), class_name)
    members = inspect.getmembers(simulator, predicate=inspect.isfunction)
    return frozenset(name for name, _ in members if not name.startswith("_"))


def methods_of(classes: list[str]) -> frozenset[str]:
    """Names of the methods that calls may use."""
    return frozenset[str]().union(*(_methods(name) for name in classes))


def known_methods() -> None:
    """Read all of them that imported modules tell, once, before anything is forked."""
    from bfcl_eval.constants.executable_backend_config import CLASS_FILE_PATH_MAPPING

    for name, module in CLASS_FILE_PATH_MAPPING.items():
        if module in sys.modules:
            _methods(name)


class Simulation:
    """The simulators of one entry, in the process that was forked for it.

    Args:
        entry: as models see it.
        snapshot: what an earlier conversation left in a memory; None at its start.
        encoder: folder of the embedding model, for a memory of vectors.
    """

    def __init__(self, entry: Entry, snapshot: dict[str, Any] | None, encoder: str | None, guard: Guard) -> None:
        self.entry, self._guard = entry, guard
        self.category = category_of(entry["id"])
        self._config: dict[str, Any] = entry.get("initial_config", {})
        if self.category in MEMORY:
            self._config = _memory_config(entry, self.category, snapshot, encoder)
        elif self.category in WEB_SEARCH:
            self._config = {entry["involved_classes"][0]: {"show_snippet": "no_snippet" not in entry["id"]}}
        _, self._instances = self._execute([])
        self._methods = methods_of(entry["involved_classes"])
        self._present = present_names()

    def memory(self) -> Any:
        """The one memory of a memory entry."""
        return next(iter(self._instances.values()))

    def _execute(self, calls: list[str]) -> tuple[list[str], dict[str, Any]]:
        results: tuple[list[str], dict[str, Any]] = _executor().execute_multi_turn_func_call(
            calls, self._config, self.entry["involved_classes"], _MODEL, self.entry["id"],
            long_context="long_context" in self.category, is_evaL_run=False,
        )  # fmt: skip
        return results

    def decode(self, result: Any, mode: Mode) -> list[str] | None:
        """A step's calls as source text; None where it holds none. Raises ``Refused``."""
        self._guard.seen = None
        try:
            with self._guard.armed():
                calls = decode_steps(result, mode)
        except Refused:
            raise
        except Exception:
            return None
        return None if not calls or calls == [""] else calls

    def call(self, source: str) -> str:
        """What the official executor returns for one call.

        Raises:
            Refused: the call does more than it may; it did not run, or was stopped.
        """
        vet_call(source, self._methods, self._present)
        self._guard.seen = None
        with self._guard.armed(network=self.category in WEB_SEARCH):
            results, _ = self._execute([source])
        if self._guard.seen is not None and self.category not in WEB_SEARCH:
            raise Refused(self._guard.seen)
        return str(results[0])

    def snapshot(self) -> dict[str, Any]:
        """What a memory holds, in the form in which the package keeps it."""
        memory = self.memory()
        memory._flush_memory_to_local_file()
        content: dict[str, Any] = json.loads(Path(memory.latest_snapshot_file).read_text())
        return content


def _memory_config(entry: Entry, category: str, snapshot: dict[str, Any] | None, encoder: str | None) -> dict[str, Any]:
    """Lay the snapshot where the package looks for it, and the embedding model where it finds it by its name."""
    folder = Path(tempfile.mkdtemp(dir="."))
    if encoder is not None:
        link = Path(ENCODER_NAME)
        if not link.exists():
            link.symlink_to(encoder, target_is_directory=True)
    if snapshot is not None:
        backend = category.removeprefix("memory_")
        kept = folder / "agentic" / "memory" / backend / "memory_snapshot" / f"{entry['scenario']}_final.json"
        kept.parent.mkdir(parents=True)
        kept.write_text(json.dumps(snapshot))
    config = {
        "model_result_dir": folder,
        "scenario": entry["scenario"],
        "test_id": entry["id"],
        "test_category": category,
    }
    return {entry["involved_classes"][0]: config}
