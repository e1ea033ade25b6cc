"""Preference pairs as training examples: TRL's conversational format (prompt, chosen, rejected, tools), tokenised turn by turn.

A line of ``preference_files`` is ``{"prompt": [messages], "chosen": [messages], "rejected": [messages], "tools": [...]}``, with
calls and observations as OpenAI messages: what ``mentor teach export`` writes, and what TRL reads as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mentor.chat import ChatFormat
from mentor.data.files import JsonLine, json_lines
from mentor.errors import UserError
from mentor.trajectory import Frozen, Observation, ToolCall, Turn
from mentor_trainer.config import TrainSpec
from mentor_trainer.sft_data import said_and_observed


class TokenPair(Frozen):
    """A prompt with two continuations. Masks are 1 on the model's own tokens, 0 on observations, as long as the ids."""

    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    chosen_mask: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    rejected_mask: tuple[int, ...]


def preference_pairs(spec: TrainSpec, chat_format: ChatFormat) -> list[TokenPair]:
    """The pairs of all files, in order; those longer than ``max_sequence_length`` are left out.

    Raises:
        UserError: a line is malformed (its place is named), or no pair is left.
    """
    pairs = [pair_of(line.value, chat_format, line.place) for line in _lines(spec)]
    longest = spec.max_sequence_length
    fitting = [p for p in pairs if len(p.prompt_ids) + max(len(p.chosen_ids), len(p.rejected_ids)) <= longest]
    if not fitting:
        allowed = "pairs, or a larger max_sequence_length" if pairs else "at least one pair"
        raise UserError("no preference pair is left", field="preference_files", allowed=allowed)
    return fitting[: spec.train_max_samples] if spec.train_max_samples > 0 else fitting


def pair_of(row: Mapping[str, Any], chat_format: ChatFormat, place: str = "pair") -> TokenPair:
    """One pair, tokenised.

    Raises:
        UserError: a part is missing or is not a list of messages.
    """
    tools = row.get("tools") or []
    if isinstance(tools, str):
        tools = json.loads(tools)
    prompt, chosen, rejected = (_messages(row, name, place) for name in ("prompt", "chosen", "rejected"))
    chosen_ids, chosen_mask = said_and_observed(_turns(chosen, place), chat_format)
    rejected_ids, rejected_mask = said_and_observed(_turns(rejected, place), chat_format)
    return TokenPair(
        prompt_ids=tuple(chat_format.render_prompt(prompt, tools)),
        chosen_ids=tuple(chosen_ids), chosen_mask=tuple(chosen_mask),
        rejected_ids=tuple(rejected_ids), rejected_mask=tuple(rejected_mask),
    )  # fmt: skip


def _lines(spec: TrainSpec) -> Iterator[JsonLine]:
    for file in spec.preference_files:
        yield from json_lines(Path(file), "preference_files")


def _messages(row: Mapping[str, Any], name: str, place: str) -> list[dict[str, Any]]:
    found = row.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(m, dict) and "role" in m for m in found):
        raise UserError(f"{place}: {name} is no list of messages", field="preference_files", allowed="TRL's format")
    return [{key: value for key, value in message.items() if value is not None} for message in found]


def _turns(messages: Sequence[dict[str, Any]], place: str) -> list[Turn]:
    """Assistant messages, each with the tool messages that follow it."""
    turns: list[Turn] = []
    for message in messages:
        if message["role"] == "assistant":
            calls = tuple(_call(call) for call in message.get("tool_calls") or ())
            reasoning = message.get("reasoning_content")
            turns.append(Turn(text=str(message.get("content") or ""), tool_calls=calls, reasoning=reasoning))
        elif message["role"] == "tool" and turns:
            seen = Observation(name=str(message.get("name") or ""), content=str(message.get("content") or ""))
            turns[-1] = turns[-1].model_copy(update={"observations": (*turns[-1].observations, seen)})
        else:
            raise UserError(
                f"{place}: a continuation has a message of {message['role']!r}",
                field="preference_files", allowed="assistant, and tool after it",
            )  # fmt: skip
    return turns


def _call(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function") or call
    arguments = function.get("arguments") or {}
    return ToolCall(
        name=str(function.get("name")), arguments=json.loads(arguments) if isinstance(arguments, str) else arguments
    )
