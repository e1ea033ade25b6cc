"""``python -m tests.support.bfcl_official FOLDER MODE CATEGORY...``: the package's own scorer, in a process of its own.

FOLDER/result/MODEL holds result files; its score files appear in FOLDER/score/MODEL. The one thing that is ours is the table of
models: the real one imports 45 providers' SDKs. The entry for this model decodes as the package's OpenAI handler does.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

MODEL = "scripted"


def main() -> None:
    """Run the official runner over every result file."""
    folder, mode, *categories = sys.argv[1:]
    os.environ["BFCL_PROJECT_ROOT"] = folder
    _stand_in(mode)
    from bfcl_eval.eval_checker import eval_runner

    eval_runner.main([MODEL], categories, None, None, partial_eval=True)


def _stand_in(mode: str) -> None:
    module: Any = ModuleType("bfcl_eval.constants.model_config")
    config = SimpleNamespace(
        model_handler=lambda **_: _handler(mode), model_name=MODEL, is_fc_model=mode == "fc",
        underscore_to_dot=mode == "fc", display_name=MODEL, url="", org="", license="", input_price=None, output_price=None,
    )  # fmt: skip
    module.MODEL_CONFIG_MAPPING = {MODEL: config}
    sys.modules[module.__name__] = module


def _handler(mode: str) -> Any:
    """The decoders of ``OpenAICompletionsHandler``."""
    from bfcl_eval.model_handler import utils

    def decode_ast(result: Any, language: Any, has_tool_call_tag: bool) -> Any:
        if mode == "fc":
            decoded_output = []
            for invoked_function in result:
                name = next(iter(invoked_function))
                params = json.loads(invoked_function[name])
                decoded_output.append({name: params})
            return decoded_output
        return utils.default_decode_ast_prompting(result, language, has_tool_call_tag)

    def decode_execute(result: Any, has_tool_call_tag: bool) -> Any:
        if mode == "fc":
            return utils.convert_to_function_call(result)
        return utils.default_decode_execute_prompting(result)

    return SimpleNamespace(decode_ast=decode_ast, decode_execute=decode_execute)


def scores(folder: Path) -> dict[str, tuple[float, int]]:
    """Accuracy and number of entries by category, from the score files."""
    found = {}
    for path in (folder / "score").rglob("BFCL_v4_*_score.json"):
        head = json.loads(path.read_text().splitlines()[0])
        found[path.name.removeprefix("BFCL_v4_").removesuffix("_score.json")] = (head["accuracy"], head["total_count"])
    return found


def overall(folder: Path) -> dict[str, str]:
    """The one row of the official table, by column."""
    header, row = (folder / "score" / "data_overall.csv").read_text().splitlines()[:2]
    return dict(zip(header.split(","), row.split(","), strict=True))


if __name__ == "__main__":
    main()
