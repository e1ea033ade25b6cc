"""What a conversation opens with: the user prompt of the paper, or messages that a question brings along."""

from __future__ import annotations

import json
from typing import Any

from mentor.trajectory import Question

USER_PROMPT = "Question: {question}\n\nIf you have got the answer, enclose it within \\boxed{{}} with latex format."


def user_messages(question: str, system: str | None = None) -> list[dict[str, Any]]:
    """Messages that open a conversation. Without ``system`` the model's template supplies its own."""
    messages = [{"role": "user", "content": USER_PROMPT.format(question=question)}]
    return [{"role": "system", "content": system}, *messages] if system else messages


def opening_messages(question: Question, system: str | None = None) -> list[dict[str, Any]]:
    """The question's own messages as they are, or else the paper's prompt around its text."""
    if question.messages is not None:
        return [dict(message) for message in question.messages]
    return user_messages(question.question, system)


def with_parsed_arguments(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages for a chat template: arguments of earlier calls as objects, not as the JSON text that the wire carries.

    Templates write arguments as JSON themselves; text would be encoded twice.
    """
    return [_parsed(message) if message.get("tool_calls") else message for message in messages]


def _parsed(message: dict[str, Any]) -> dict[str, Any]:
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        if isinstance(function["arguments"], str):
            function = function | {"arguments": json.loads(function["arguments"])}
        calls.append(call | {"function": function})
    return message | {"tool_calls": calls}
