"""Reading replies: what cannot be used raises ``Fault`` (the server's); what can be put right is, and is noted.

A model's own mistakes (arguments that are no JSON, calls of unknown tools) stay in the turn: it is told of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from mentor.chat.hermes import OPEN
from mentor.errors import ContentFilterError
from mentor.inference.base import ChatCompletion, Generation
from mentor.inference.endpoint import Note
from mentor.inference.faults import (
    AFTER_END_OF_TURN,
    ARGUMENTS_AS_OBJECT,
    CALLS_IN_TEXT,
    EMPTY_ANSWER,
    JOINED_CALLS,
    OVER_MAX_TOKENS,
    UNDECLARED_CALLS,
    WRONG_CHOICES,
    WRONG_LOGPROBS,
    Fault,
    NoTokenIdsError,
)
from mentor.trajectory import ToolCall

_END_OF_TURN = re.compile(r"<\|im_end\|>|<\|eot_id\|>|<\|endoftext\|>|<\|end_of_text\|>")
_JSON = json.JSONDecoder()


def completion(reply: dict[str, Any], asked: dict[str, Any], note: Note) -> ChatCompletion:
    """A chat server's one message.

    An answer longer than ``max_tokens`` is taken as one that was cut off: a server that ignores the bound spends a budget
    that is not its own.

    Raises:
        Fault: there is not exactly one choice.
        ContentFilterError: its filter stopped the answer.
    """
    choice = _only_choice(reply)
    usage = reply.get("usage") or {}
    message = choice.get("message") or {}
    calls = tuple(_calls(message.get("tool_calls") or (), note))
    if calls and "tools" not in asked:
        note(UNDECLARED_CALLS)
    content = _without_tail(message.get("content") or "", note)
    if not calls and OPEN in content:
        note(CALLS_IN_TEXT)
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if not (content or calls or reasoning):
        note(EMPTY_ANSWER)
    generated, bound = usage.get("completion_tokens"), asked.get("max_tokens")
    over = bound is not None and isinstance(generated, int) and generated > bound
    if over:
        note(OVER_MAX_TOKENS)
    return ChatCompletion(
        content=content,
        tool_calls=calls,
        reasoning=reasoning,
        finish_reason="length" if over or choice.get("finish_reason") == "length" else "stop",
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=generated,
    )


def generation(reply: dict[str, Any], asked: dict[str, Any], note: Note) -> Generation:
    """The tokens of a completion: at most ``max_tokens``, and none behind the end of the turn.

    Raises:
        NoTokenIdsError: it gives none.
        Fault: there is not exactly one choice, or its log-probabilities are not those of its tokens.
        ContentFilterError: its filter stopped the answer.
    """
    choice = _only_choice(reply)
    ids = choice.get("token_ids")
    if ids is None:
        raise NoTokenIdsError(
            "the model server returns no token ids",
            field="mode",
            allowed="mode: chat, or a server with return_token_ids (vLLM, SGLang, the local engine)",
        )
    logprobs = (choice.get("logprobs") or {}).get("token_logprobs")
    if logprobs is not None and len(logprobs) != len(ids):
        raise Fault(WRONG_LOGPROBS, f"{len(logprobs)} log-probs for {len(ids)} tokens")
    finish = "length" if choice.get("finish_reason") == "length" else "stop"
    ended = next((at + 1 for at, token in enumerate(ids) if token in asked["stop_token_ids"]), len(ids))
    if ended < len(ids):
        note(AFTER_END_OF_TURN)
        finish = "stop"
    if ended > asked["max_tokens"]:
        note(OVER_MAX_TOKENS)
        ended, finish = asked["max_tokens"], "length"
    return Generation(
        token_ids=tuple(ids[:ended]),
        logprobs=None if logprobs is None else tuple(logprobs[:ended]),
        finish_reason=finish,
        text=choice.get("text"),
    )


def _only_choice(reply: dict[str, Any]) -> dict[str, Any]:
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        count = len(choices) if isinstance(choices, list) else "no"
        raise Fault(WRONG_CHOICES, f"the model server answered with {count} choices where 1 was asked for")
    if choices[0].get("finish_reason") == "content_filter":
        raise ContentFilterError("the model server's content filter stopped the answer")
    return choices[0]


def _without_tail(content: str, note: Note) -> str:
    """Text up to an end-of-turn token that a server left in it."""
    end = _END_OF_TURN.search(content)
    if end is None:
        return content
    if content[end.end() :].strip():
        note(AFTER_END_OF_TURN)
    return content[: end.start()]


def _calls(calls: Any, note: Note) -> Iterator[ToolCall]:
    for index, call in enumerate(calls):
        function = call.get("function") or {}
        name, raw = str(function.get("name") or ""), function.get("arguments")
        call_id = str(call.get("id") or f"call_{index}")
        if isinstance(raw, dict):
            note(ARGUMENTS_AS_OBJECT)
        text = raw if isinstance(raw, str) else "" if raw is None else json.dumps(raw)
        parts = _joined(text)
        if len(parts) > 1:
            note(JOINED_CALLS)
        for number, part in enumerate(parts):
            yield _call(name, part, call_id if not number else f"{call_id}_{number}")


def _joined(text: str) -> list[str]:
    """Objects that stand one behind another in one string of arguments; the text itself where it is anything else."""
    found, at = [], 0
    while at < len(text):
        try:
            value, end = _JSON.raw_decode(text, at)
        except (ValueError, RecursionError):
            return [text]
        if not isinstance(value, dict):
            return [text]
        found.append(text[at:end])
        at = end + len(text[end:]) - len(text[end:].lstrip(" \t\r\n,;"))
    return found or [text]


def _call(name: str, text: str, call_id: str) -> ToolCall:
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        return ToolCall(name=name, id=call_id, raw=text, error=f"malformed_call: arguments are not JSON: {reason}")
    if not isinstance(arguments, dict):
        return ToolCall(name=name, id=call_id, raw=text, error="malformed_call: arguments must be an object")
    return ToolCall(name=name, arguments=arguments, id=call_id, raw=text)
