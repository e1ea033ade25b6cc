"""Read a model's result as calls, exactly as the official handlers of OpenAI-style models do."""

from __future__ import annotations

import json
from typing import Any

from mentor_evaluator.bfcl.categories import Mode
from mentor_evaluator.bfcl.child.vetting import vet_decoding

Calls = list[dict[str, Any]]
_PYTHON = "python"


def decode_calls(result: Any, mode: Mode, returned: str = _PYTHON, tagged: bool = False) -> Any:
    """Calls for the checkers of single requests: ``[{name: {parameter: value}}, ...]``.

    Args:
        result: ``fc``: a list of ``{name: arguments as JSON}``; ``prompt``: text.
        returned: the format that was asked for, by the names of the package's ``ReturnFormat``.
        tagged: whether the calls stand between ``<TOOLCALL>`` tags.

    Raises:
        Refused: the text does more than a call may.
        Exception: whatever the official decoders raise; it means that there is no call.
    """
    from bfcl_eval.constants.enums import ReturnFormat
    from bfcl_eval.model_handler.utils import default_decode_ast_prompting

    if mode == "fc":
        return [{name: json.loads(text) for name, text in list(call.items())[:1]} for call in result]
    if returned == _PYTHON:
        vet_decoding(_between_tags(_bracketed(result), tagged).strip().strip("'"))
    return default_decode_ast_prompting(result, ReturnFormat(returned), tagged)


def decode_steps(result: Any, mode: Mode) -> list[str]:
    """Calls for the executor of simulators: source text, one call each. Raises as ``decode_calls``."""
    from bfcl_eval.model_handler.utils import convert_to_function_call, default_decode_execute_prompting

    if mode == "fc":
        return list(convert_to_function_call(result))
    vet_decoding(_bracketed(result).strip().strip("'"))
    return list(default_decode_execute_prompting(result))


def _bracketed(result: str) -> str:
    """What the official decoder makes of a text before it parses it."""
    text = result.strip("`\n ")
    text = text if text.startswith("[") else f"[{text}"
    return text if text.endswith("]") else f"{text}]"


def _between_tags(text: str, tagged: bool) -> str:
    if not tagged or "<TOOLCALL>" not in text:
        return text
    return text.split("<TOOLCALL>", 1)[1].split("</TOOLCALL>", 1)[0]
