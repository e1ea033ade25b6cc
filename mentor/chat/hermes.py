"""Parse tool calls written as ``<tool_call>{json}</tool_call>``: the format of Qwen2.5, Qwen3 and Hermes models.

A call that cannot be parsed is kept as a ``ToolCall`` with ``error`` set, so that it costs validation reward and the
model is told what was wrong, instead of vanishing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from mentor.trajectory import ToolCall

OPEN = "<tool_call>"
CLOSE = "</tool_call>"
_BLOCK = re.compile(re.escape(OPEN) + r"(.*?)(?:" + re.escape(CLOSE) + r"|(?=" + re.escape(OPEN) + r")|\Z)", re.DOTALL)
_THINK = re.compile(r"\A\s*<think>(.*?)</think>\s*", re.DOTALL)
_THINK_TAIL = re.compile(r"\A(.*?)</think>\s*", re.DOTALL)
MALFORMED = "malformed_call"


def split_reasoning(text: str) -> tuple[str | None, str]:
    """Split a leading think block off a turn's text.

    A prompt may already have opened ``<think>`` (Qwen3 thinking templates), so a lone ``</think>`` closes it. An
    unclosed ``<think>`` is all reasoning: the model never came to speak.
    """
    match = _THINK.match(text)
    if match is None and "</think>" in text and "<think>" not in text.split("</think>", 1)[0]:
        match = _THINK_TAIL.match(text)
    if match is not None:
        return match.group(1).strip(), text[match.end() :]
    if text.lstrip().startswith("<think>"):
        return text.lstrip()[len("<think>") :].strip(), ""
    return None, text


def parse_tool_calls(text: str) -> tuple[str, list[ToolCall]]:
    """Split a turn's text (reasoning already removed) into spoken content and calls, in order.

    Returns:
        The text outside call blocks, stripped, and one ``ToolCall`` per block; ids are ``call_0``, ``call_1``, ...
    """
    calls = [_parse_block(match, index) for index, match in enumerate(_BLOCK.finditer(text))]
    content = _BLOCK.sub("", text).strip() if calls else text.strip()
    return content, calls


def _parse_block(match: re.Match[str], index: int) -> ToolCall:
    raw, call_id = match.group(1).strip(), f"call_{index}"

    def malformed(reason: str, name: str = "") -> ToolCall:
        return ToolCall(name=name, id=call_id, raw=raw, error=f"{MALFORMED}: {reason}")

    if not match.group(0).endswith(CLOSE):
        return malformed(f"{CLOSE} is missing")
    try:
        payload = json.loads(raw)
    except (json.JSONDecodeError, RecursionError) as error:
        return malformed(f"not JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else "nested too deeply")
    return _call_from_payload(payload, malformed, raw, call_id)


def _call_from_payload(payload: Any, malformed: Callable[..., ToolCall], raw: str, call_id: str) -> ToolCall:
    if not isinstance(payload, dict):
        return malformed("expected an object with name and arguments")
    name = payload.get("name")
    if not isinstance(name, str) or not name:
        return malformed("name must be a non-empty string")
    arguments = payload.get("arguments", payload.get("parameters", {}))
    if isinstance(arguments, str):
        # Some models write the arguments as a JSON string, as OpenAI's wire format does.
        try:
            arguments = json.loads(arguments)
        except (json.JSONDecodeError, RecursionError):
            return malformed("arguments is a string that is not JSON", name)
    if not isinstance(arguments, dict):
        return malformed("arguments must be an object", name)
    return ToolCall(name=name, arguments=arguments, id=call_id, raw=raw)
