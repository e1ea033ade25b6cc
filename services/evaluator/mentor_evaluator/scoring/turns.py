"""A conversation as messages, back into turns: calls and what came back for them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mentor.chat import parse_tool_calls, split_reasoning
from mentor.trajectory import Observation, ToolCall, Turn

_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)
Message = dict[str, Any]


def turns_of(
    messages: Sequence[Message], failed: Sequence[str] = (), ran: Sequence[str] | None = None
) -> tuple[Turn, ...]:
    """The assistant's turns. Tools' answers come as role ``tool``, or as ``<tool_response>`` in a user's message.

    Args:
        failed: names of the tools whose calls failed, as published records count them.
        ran: likewise of those that reached a tool; None where nobody counted.

    Raises:
        ValueError: a message is malformed.
    """
    left, reached = Counter(failed), None if ran is None else Counter(ran)
    turns: list[Turn] = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ValueError("a message without a role")
        if message["role"] == "assistant":
            turns.append(_turn(message))
        elif turns:
            for content in _answers(message):
                turns[-1] = _answered(turns[-1], content, left, reached)
    return tuple(turns)


def _turn(message: Message) -> Turn:
    text = message.get("content") or ""
    reasoning, rest = split_reasoning(text)
    native = message.get("tool_calls")
    calls = tuple(map(_native, native)) if native else tuple(parse_tool_calls(rest)[1])
    return Turn(text=text, tool_calls=calls, reasoning=reasoning)


def _native(call: Any) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValueError("a tool call without a function's name")
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except json.JSONDecodeError as error:
            return ToolCall(name=function["name"], id=call.get("id") or "", error=f"malformed_call: {error.msg}")
    return ToolCall(name=function["name"], arguments=arguments, id=call.get("id") or "")


def _answers(message: Message) -> list[str]:
    content = message.get("content")
    if not isinstance(content, str):
        return []
    return [content] if message["role"] == "tool" else [text.strip() for text in _RESPONSE.findall(content)]


def _answered(turn: Turn, content: str, failed: Counter[str], ran: Counter[str] | None) -> Turn:
    """The turn with one more observation, for its next call that has none."""
    place = len(turn.observations)
    call = turn.tool_calls[place] if place < len(turn.tool_calls) else ToolCall(name="unknown", error="no such call")
    executed = call.error is None and (ran is None or ran[call.name] > 0)
    bad = not executed or failed[call.name] > 0
    failed[call.name] -= failed[call.name] > 0
    if ran is not None:
        ran[call.name] -= executed
    kind = "malformed_call" if call.error else "tool_error" if executed else "unknown_tool"
    seen = Observation(
        name=call.name,
        content=content,
        ok=not bad,
        executed=executed,
        call_id=call.id,
        error_type=kind if bad else None,
    )
    calls = turn.tool_calls if place < len(turn.tool_calls) else (*turn.tool_calls, call)
    return turn.model_copy(update={"observations": (*turn.observations, seen), "tool_calls": calls})
