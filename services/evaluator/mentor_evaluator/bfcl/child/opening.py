"""What a model is shown, made by the package's own functions: messages and tools, turn by turn."""

from __future__ import annotations

import copy
from typing import Any

from mentor_evaluator.bfcl.categories import MEMORY, Mode, category_of
from mentor_evaluator.bfcl.entries import Entry


def opening(entry: Entry, mode: Mode, memory: Any = None) -> dict[str, Any]:
    """Messages that each user turn adds, and the tools offered in it (none in prompt mode: the system prompt has them).

    Args:
        memory: the memory's simulator, whose content the system prompt of memory entries shows.
    """
    from bfcl_eval.model_handler.utils import add_memory_instruction_system_prompt

    entry = copy.deepcopy(entry)
    if category_of(entry["id"]) in MEMORY:
        category = entry["id"].rsplit("_", 1)[0]
        entry["question"] = add_memory_instruction_system_prompt(entry["question"], category, entry["scenario"], memory)
    return _as_tools(entry) if mode == "fc" else _as_text(entry)


def _as_tools(entry: Entry) -> dict[str, Any]:
    from bfcl_eval.constants.default_prompts import DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC

    functions, turns, tools = list(entry["function"]), [], []
    for index, messages in enumerate(entry["question"]):
        added = entry.get("missed_function", {}).get(str(index))
        if added is not None:
            functions = functions + added
            messages = [{"role": "user", "content": DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC}]
        turns.append(messages)
        tools.append(_tools(functions))
    return {"turns": turns, "tools": tools}


def _tools(functions: list[Entry]) -> list[dict[str, Any]]:
    from bfcl_eval.constants.enums import ModelStyle
    from bfcl_eval.constants.type_mappings import GORILLA_TO_OPENAPI
    from bfcl_eval.model_handler.utils import convert_to_tool

    return list(convert_to_tool(functions, GORILLA_TO_OPENAPI, ModelStyle.OPENAI_COMPLETIONS))


def _as_text(entry: Entry) -> dict[str, Any]:
    from bfcl_eval.constants.default_prompts import DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_PROMPTING
    from bfcl_eval.model_handler.utils import system_prompt_pre_processing_chat_model

    first = system_prompt_pre_processing_chat_model(entry["question"][0], entry["function"], entry["id"])
    turns = [first, *entry["question"][1:]]
    for index, added in entry.get("missed_function", {}).items():
        content = DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_PROMPTING.format(functions=added)
        turns[int(index)] = [{"role": "user", "content": content}]
    return {"turns": turns, "tools": [[] for _ in turns]}
