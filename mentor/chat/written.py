"""Turns, tools and results written out as Hermes text (Qwen2.5, Qwen3): for readers that know messages of role and
content alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from mentor.chat.hermes import CLOSE, OPEN
from mentor.trajectory import Observation, Turn

_BEFORE = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_AFTER = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    f"{OPEN}{CLOSE} XML tags:\n{OPEN}\n"
    f'{{"name": <function-name>, "arguments": <args-json-object>}}\n{CLOSE}'
)


def turn_text(turn: Turn) -> str:
    """What the model wrote. A server that parsed reasoning or calls out of the text has them put back."""
    text = turn.text
    if turn.tool_calls and OPEN not in text:
        calls = ({"name": c.name, "arguments": c.arguments} for c in turn.tool_calls)
        blocks = [f"{OPEN}\n{json.dumps(call, ensure_ascii=False)}\n{CLOSE}" for call in calls]
        text = "\n".join([text, *blocks] if text else blocks)
    if turn.reasoning and "</think>" not in text:
        text = f"<think>\n{turn.reasoning}\n</think>\n\n{text}"
    return text


def tools_text(tools: Iterable[dict[str, Any]]) -> str:
    """The part of a system prompt that shows OpenAI tool objects, as the templates of these families write it."""
    return _BEFORE + "".join(f"\n{json.dumps(tool, ensure_ascii=False)}" for tool in tools) + _AFTER


def results_text(observations: Sequence[Observation]) -> str:
    """What the user's side says when tools have answered."""
    return "\n".join(f"<tool_response>\n{seen.content}\n</tool_response>" for seen in observations)
