"""Trajectories as messages: structured (OpenAI's, for templates that know tools), or as text of role and content alone."""

from __future__ import annotations

import json
from typing import Any

from mentor.chat import parse_turn
from mentor.chat.written import results_text, tools_text, turn_text
from mentor.rollout.prompts import opening_messages
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Question, Trajectory

SYSTEM = "You are a helpful assistant."
Message = dict[str, Any]


class Writer:
    """Writes conversations.

    Args:
        system: system message; None leaves it to the model's template (in text: ``SYSTEM``).
    """

    def __init__(self, system: str | None = None) -> None:
        self._system = system
        self._registry = ToolRegistry()
        self._shown: dict[str, tuple[list[dict[str, Any]], str]] = {}

    def tools(self, question: Question) -> list[dict[str, Any]]:
        """OpenAI tool objects that the question's prompt shows."""
        return self._offered(question)[0]

    def _offered(self, question: Question) -> tuple[list[dict[str, Any]], str]:
        """Tools, and as text; most questions of a set have the same."""
        key = json.dumps([question.tools, question.func_schemas, question.env])
        if key not in self._shown:
            tools = [tool.openai() for tool in self._registry.for_question(question)]
            self._shown[key] = tools, tools_text(tools) if tools else ""
        return self._shown[key]

    def opening(self, question: Question) -> list[Message]:
        """What the model is asked."""
        return [_message(**message) for message in opening_messages(question, self._system)]

    def response(self, trajectory: Trajectory) -> list[Message]:
        """What the model did, and what tools answered."""
        return [message for turn in trajectory.turns for message in _structured(turn)]

    def opening_text(self, question: Question) -> list[Message]:
        """As ``opening``, tools written into the system message."""
        opening = [_plain(message) for message in opening_messages(question)]
        system = self._system or SYSTEM
        if opening and opening[0]["role"] == "system":
            system, opening = self._system or opening[0]["content"], opening[1:]
        tools = self._offered(question)[1]
        shown = f"{system}\n\n{tools}" if tools else system
        return [{"role": "system", "content": shown}, *opening]

    def response_text(self, trajectory: Trajectory) -> list[Message]:
        """As ``response``, calls and results written out."""
        messages = []
        for turn in trajectory.turns:
            messages.append({"role": "assistant", "content": turn_text(turn)})
            if turn.observations:
                messages.append({"role": "user", "content": results_text(turn.observations)})
        return messages


def _message(role: str, content: Any = "", **others: Any) -> Message:
    """Every message has every key: columns of one form."""
    kept = {key: others.get(key) for key in ("reasoning_content", "tool_calls", "tool_call_id", "name")}
    return {"role": role, "content": content or "", **kept}


def _plain(message: Message) -> Message:
    return {"role": message["role"], "content": message.get("content") or ""}


def _structured(turn: Any) -> list[Message]:
    parsed = parse_turn(turn.text)
    calls = [
        {"id": call.id or f"call_{n}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for n, call in enumerate(turn.tool_calls)
    ]
    said = _message(
        "assistant", parsed.content, reasoning_content=turn.reasoning or parsed.reasoning, tool_calls=calls or None
    )
    results = [
        _message("tool", seen.content, tool_call_id=call["id"], name=seen.name)
        for call, seen in zip(calls, turn.observations, strict=False)
    ]
    return [said, *results]
