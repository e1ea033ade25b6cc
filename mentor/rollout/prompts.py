"""The user prompt of the paper."""

from __future__ import annotations

from typing import Any

USER_PROMPT = "Question: {question}\n\nIf you have got the answer, enclose it within \\boxed{{}} with latex format."


def user_messages(question: str, system: str | None = None) -> list[dict[str, Any]]:
    """Messages that open a conversation. Without ``system`` the model's template supplies its own."""
    messages = [{"role": "user", "content": USER_PROMPT.format(question=question)}]
    return [{"role": "system", "content": system}, *messages] if system else messages
