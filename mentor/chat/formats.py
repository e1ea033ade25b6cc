"""Chat formats: render once through the model's own chat template, then only ever append.

A conversation is a growing list of token ids: the rendered prompt, the ids that the model generated, and the ids of the
observations. History is never re-tokenised. ``load_format`` proves per tokenizer that this incremental rendering equals
a full render of the same conversation, and refuses a template for which it does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Protocol

from mentor.chat.answer import extract_boxed
from mentor.chat.hermes import CLOSE, OPEN, parse_tool_calls, split_reasoning
from mentor.errors import UserError
from mentor.trajectory import Frozen, Observation, ToolCall

_ANSWER_SENTINEL = "ASSISTANTTURNSENTINEL"
_TOOL_SENTINEL = "TOOLNAMESENTINEL"
_KEPT = 512
"""Texts whose tokens are kept: all samples of a question begin with the same."""


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    eos_token_id: int | None

    def apply_chat_template(self, conversation: list[dict[str, Any]], **kwargs: Any) -> Any: ...
    def encode(self, text: str, **kwargs: Any) -> list[int]: ...
    def decode(self, token_ids: Sequence[int], **kwargs: Any) -> str: ...
    def convert_tokens_to_ids(self, tokens: str) -> Any: ...


class ParsedTurn(Frozen):
    """A generated turn, read: spoken content, reasoning, calls, and the boxed answer of the content."""

    text: str
    content: str
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    answer: str | None = None


def parse_turn(text: str) -> ParsedTurn:
    """Read one turn's text (end-of-turn token removed). The answer is looked for outside reasoning and calls."""
    reasoning, rest = split_reasoning(text)
    content, calls = parse_tool_calls(rest)
    answer = extract_boxed(content)
    return ParsedTurn(text=text, content=content, reasoning=reasoning, tool_calls=tuple(calls), answer=answer)


class ChatFormat:
    """Qwen2.5, Qwen3 and Hermes style: ``<tool_call>`` JSON, role ``tool``, one end-of-turn token.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template.
        end_of_turn: text of the token that closes a turn.
        template_kwargs: passed to the chat template (``enable_thinking`` for Qwen3).
    """

    name = "hermes"

    def __init__(
        self, tokenizer: Tokenizer, end_of_turn: str = "<|im_end|>", template_kwargs: dict[str, Any] | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.end_of_turn = end_of_turn
        self.template_kwargs = template_kwargs or {}
        end_id = tokenizer.convert_tokens_to_ids(end_of_turn)
        ids = {i for i in (end_id, tokenizer.eos_token_id) if isinstance(i, int)}
        self.stop_token_ids: tuple[int, ...] = tuple(sorted(ids))
        self._ids_of = lru_cache(_KEPT)(self._tokenised)

    def render_text(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], *, add_generation_prompt: bool = True
    ) -> str:
        """The conversation as text, through the model's own template."""
        text = self.tokenizer.apply_chat_template(
            messages,
            tools=tools or None,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            **self.template_kwargs,
        )
        return str(text)

    def encode(self, text: str) -> list[int]:
        """Token ids of already rendered text."""
        return list(self._ids_of(text))

    def _tokenised(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    @cached_property
    def shows_tools(self) -> bool:
        """Whether the template writes out the tools that it is given."""
        shown = self.render_text([{"role": "user", "content": "q"}], [_declared(_TOOL_SENTINEL)])
        return _TOOL_SENTINEL in shown

    def render_prompt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[int]:
        """Token ids of the prompt, ending where the assistant's turn begins.

        Raises:
            UserError: neither the template nor the messages show the tools, so that the model could never call one.
        """
        if tools and not self.shows_tools:
            _require_named(tools, messages)
        return self.encode(self.render_text(messages, tools))

    def observation_text(self, calls: Sequence[ToolCall], observations: Sequence[Observation]) -> str:
        """Text between the end-of-turn token of a calling turn and the next assistant turn."""
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": _ANSWER_SENTINEL},
        ]
        messages += [{"role": "tool", "name": o.name, "content": o.content} for o in observations]
        full = self.render_text(messages, [])
        tail = full[full.rindex(_ANSWER_SENTINEL) :]
        return tail[tail.index(self.end_of_turn) + len(self.end_of_turn) :]

    def render_observations(self, calls: Sequence[ToolCall], observations: Sequence[Observation]) -> list[int]:
        """Token ids to append after a calling turn; they end where the next assistant turn begins."""
        return self.encode(self.observation_text(calls, observations))

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """Read generated ids; trailing stop tokens are dropped first."""
        ids = list(token_ids)
        while ids and ids[-1] in self.stop_token_ids:
            ids.pop()
        return parse_turn(self.tokenizer.decode(ids, skip_special_tokens=False))


class PublishedFormat(ChatFormat):
    """The published rollout's own layout (MENTOR/ReCall), for reproducing it.

    Observations come as a user turn that repeats each call, and the think tag is forced open after the first turn.
    """

    name = "published"

    def observation_text(self, calls: Sequence[ToolCall], observations: Sequence[Observation]) -> str:
        blocks = (
            f"<tool_response>{_published_call(c)}\n{o.content}\n</tool_response>\n"
            for c, o in zip(calls, observations, strict=True)
        )
        return f"\n<|im_start|>user\n{''.join(blocks)}<|im_end|>\n<|im_start|>assistant\n<think>"


def _published_call(call: ToolCall) -> str:
    return call.raw or json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)


FORMATS: dict[str, type[ChatFormat]] = {"hermes": ChatFormat, "published": PublishedFormat}


def load_format(tokenizer: Tokenizer, name: str = "auto", **template_kwargs: Any) -> ChatFormat:
    """Format for a tokenizer, proven before use.

    Raises:
        UserError: unknown name, no chat template, or a template whose full render differs from the incremental one.
    """
    if name not in ("auto", *FORMATS):
        raise UserError(f"unknown chat format {name!r}", field="chat_format", allowed=", ".join(("auto", *FORMATS)))
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("the tokenizer has no chat template", field="model", allowed="a chat or instruct model")
    chat_format = FORMATS["hermes" if name == "auto" else name](tokenizer, template_kwargs=template_kwargs)
    if name != "published":
        check_incremental(chat_format)
    return chat_format


def check_incremental(chat_format: ChatFormat) -> None:
    """Prove on a two-call conversation that appended ids equal the full template render.

    Raises:
        UserError: they differ; token-in/token-out training on this family would be off-distribution.
    """
    tools = [_declared("add")]
    call = {"name": "add", "arguments": {"a": 1}}
    for reasoning in (None, "I add."):
        messages: list[dict[str, Any]] = [{"role": "user", "content": "What is 1 + 2?"}]
        prompt = chat_format.encode(chat_format.render_text(messages, tools))
        think = f"<think>\n{reasoning}\n</think>\n\n" if reasoning else ""
        turn_text = think + "\n".join([f"{OPEN}\n{json.dumps(call)}\n{CLOSE}"] * 2) + chat_format.end_of_turn
        observed = [Observation(name="add", content=c) for c in ("3", "Error: no")]
        incremental = prompt + chat_format.encode(turn_text) + chat_format.render_observations([], observed)
        assistant: dict[str, Any] = {"role": "assistant", "content": think}
        if reasoning:
            assistant = {"role": "assistant", "content": "", "reasoning_content": reasoning}
        assistant["tool_calls"] = [{"type": "function", "function": call}] * 2
        messages += [assistant, *({"role": "tool", "content": o.content} for o in observed)]
        full = chat_format.encode(chat_format.render_text(messages, tools))
        if full == incremental:
            return
    raise UserError(
        "the chat template renders an appended conversation differently from a whole one",
        field="model",
        allowed="a Qwen2.5, Qwen3 or Hermes style template",
    )


def _declared(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"a": {"type": "number"}}}
    return {"type": "function", "function": {"name": name, "description": "Add.", "parameters": parameters}}


def _require_named(tools: Sequence[dict[str, Any]], messages: Sequence[dict[str, Any]]) -> None:
    """Prompts may list tools in words. One name is enough in a system prompt; a question holds one by chance (``add``), so
    that all count elsewhere.
    """
    names = [str(tool["function"]["name"]) for tool in tools]
    system = "\n".join(str(message.get("content")) for message in messages if message["role"] == "system")
    said = "\n".join(str(message.get("content")) for message in messages)
    if any(_named(name, system) for name in names) or all(_named(name, said) for name in names):
        return
    raise UserError(
        f"the chat template leaves out tools: the model would never see {', '.join(names[:5])}",
        field="model",
        allowed="a template that renders tools (Qwen2.5, Qwen3 or Hermes style), or a system prompt that names them",
    )


def _named(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
