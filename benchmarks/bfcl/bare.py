"""``python -m benchmarks.bfcl.bare FOLDER MODE CATEGORY...``: the package's loader, decoders and checker, unguarded.

Prints seconds: of reading entries and results, then of decoding and checking them.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mentor_evaluator.bfcl.child.official import DOTTED, UNDERSCORED, prepare


def main() -> None:
    """Load, then check, and say how long each took."""
    folder, mode, *categories = sys.argv[1:]
    with tempfile.TemporaryDirectory() as root:
        prepare(Path(root))
        started = time.perf_counter()
        loaded = [(name, *_load(Path(folder), name)) for name in categories]
        read = time.perf_counter()
        right = sum(_right(*group, mode) for group in loaded)
        done = time.perf_counter()
    print(json.dumps({"load_s": read - started, "check_s": done - read, "right": right}))


def _load(folder: Path, category: str) -> tuple[list[Any], list[Any], list[Any]]:
    from bfcl_eval.utils import load_dataset_entry, load_ground_truth_entry

    entries = load_dataset_entry(category, include_prereq=False, include_language_specific_hint=False)
    (file,) = folder.rglob(f"BFCL_v4_{category}_result.json")
    by_id = {row["id"]: row["result"] for row in map(json.loads, file.read_text().splitlines())}
    return entries, [by_id[entry["id"]] for entry in entries], load_ground_truth_entry(category)


def _right(category: str, entries: list[Any], results: list[Any], answers: list[Any], mode: str) -> int:
    from bfcl_eval.constants.enums import Language, ReturnFormat
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker
    from bfcl_eval.model_handler.utils import default_decode_ast_prompting

    language = {"simple_java": Language.JAVA, "simple_javascript": Language.JAVASCRIPT}.get(category, Language.PYTHON)
    right = 0
    for entry, result, answer in zip(entries, results, answers, strict=True):
        if mode == "fc":
            calls = [{name: json.loads(text) for name, text in call.items()} for call in result]
        else:
            calls = default_decode_ast_prompting(result, ReturnFormat(language.value))
        model = UNDERSCORED if mode == "fc" else DOTTED
        right += ast_checker(entry["function"], calls, answer["ground_truth"], language, category, model)["valid"]
    return right


if __name__ == "__main__":
    main()
