"""Structured data of the whole system: questions, references, and trajectories of a model that calls tools.

A trajectory is data, never decoded text to be searched: rewards, judges and statistics read the parsed calls, the
observations that really came back and the reason why it ended, so that neither prompt nor tool output can earn reward.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1


class Frozen(BaseModel):
    """Base of immutable records; an unknown field is an error, so that a typo is never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Termination(StrEnum):
    """Why a trajectory ended."""

    ANSWERED = "answered"
    """The last turn closed with the end-of-turn token and called no tool."""
    MAX_TURNS = "max_turns"
    LENGTH = "length"
    """The token budget or the model's context ran out, within a turn or before the next."""
    INVALID_LIMIT = "invalid_limit"
    """Too many consecutive turns in which every call was invalid."""
    REFUSED = "refused"
    """The model server refused this request (a content filter, a message that its template cannot render)."""
    INFRASTRUCTURE = "infrastructure"
    """Ours: an outage or time-out. Retried, then set aside; never scored."""


class CallSignature(Frozen):
    """One tool call as a reference keeps it: the name and, where known, the arguments."""

    name: str
    arguments: dict[str, Any] | None = None


class Reference(Frozen):
    """What one teacher did on a question: its answer and its executed calls, in order."""

    answer: str | None = None
    tool_calls: tuple[CallSignature, ...] = ()
    model: str | None = None

    @property
    def tool_names(self) -> tuple[str, ...]:
        """Names of the calls in order, with repetitions."""
        return tuple(call.name for call in self.tool_calls)


class Question(Frozen):
    """A problem with its accepted answers, its tools and the teachers' references.

    ``tools`` names the tools offered; ``env`` (Python source) and ``func_schemas`` (OpenAI tool objects) carry a
    question's own tools, as the published parquet schema does. An empty ``tools`` with no ``env`` means: no tools.
    ``messages``: a conversation so far (OpenAI messages), shown as it is in place of the prompt made of ``question``.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    tools: tuple[str, ...] | None = None
    env: str | None = None
    func_schemas: tuple[dict[str, Any], ...] | None = None
    data_source: str = "mentor"
    ability: str = "math"
    category: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class ToolCall(Frozen):
    """A call as the model wrote it. ``error`` is set when the text could not be parsed into a call."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    id: str = ""
    raw: str = ""
    error: str | None = None


class Observation(Frozen):
    """What came back for one call.

    ``error_type``: ``malformed_call``, ``unknown_tool``, ``invalid_arguments`` (the model's), ``tool_error``, ``timeout``,
    ``memory``, ``output_limit``, ``killed`` (the tool's), ``infrastructure`` (ours).
    ``executed`` tells whether the call reached a tool at all; ``ok`` whether it returned a result.
    """

    name: str
    content: str
    ok: bool = True
    executed: bool = True
    call_id: str = ""
    error_type: str | None = None
    duration_ms: float = 0.0


class Turn(Frozen):
    """One assistant turn and the observations that followed it.

    ``token_ids`` and ``logprobs`` have one entry per generated token (the end-of-turn token included) and are None where
    a black-box server does not return them. ``observation_ids`` are the tokens appended after the turn: they are context,
    not the model's own, and are masked out of every loss.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    observations: tuple[Observation, ...] = ()
    reasoning: str | None = None
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    observation_ids: tuple[int, ...] = ()
    finish_reason: str = "stop"
    """``stop`` (end-of-turn token), ``length`` (budget), ``abort``."""
    prompt_tokens: int | None = None
    """As the server counts what it was sent; in token mode the ids say it."""
    generated_tokens: int | None = None
    """As the server counts what it wrote, reasoning included."""
    duration_s: float = 0.0
    """From the request to its last token, as the loop waited for it; 0 where nobody measured."""


class Trajectory(Frozen):
    """One sampled solution: prompt, turns, answer and termination.

    ``answer`` is the last ``\\boxed{}`` of the final turn, None where there is none. ``prompt_ids`` is None in chat mode.
    """

    question_id: str = ""
    question: str = ""
    turns: tuple[Turn, ...] = ()
    termination: Termination = Termination.ANSWERED
    answer: str | None = None
    sample: int = 0
    prompt_ids: tuple[int, ...] | None = None
    model: str | None = None
    mode: str = "token"
    """``token`` (ids in, ids out) or ``chat`` (messages; the server renders and parses)."""
    error: str | None = None
    duration_s: float = 0.0
    trace_id: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def pairs(self) -> Iterator[tuple[ToolCall, Observation]]:
        """Every call with its observation, in order."""
        for turn in self.turns:
            yield from zip(turn.tool_calls, turn.observations, strict=False)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Every parsed call, in order; malformed ones have ``error`` set."""
        return tuple(call for turn in self.turns for call in turn.tool_calls)

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Every observation, in order."""
        return tuple(obs for turn in self.turns for obs in turn.observations)

    @property
    def executed_calls(self) -> tuple[CallSignature, ...]:
        """Calls that ran and returned a result, in order: the only ones that can earn alignment reward."""
        return tuple(CallSignature(name=c.name, arguments=c.arguments) for c, o in self.pairs() if o.executed and o.ok)

    @property
    def attempted_names(self) -> tuple[str, ...]:
        """Names of the calls that reached a tool, whether or not they succeeded."""
        return tuple(call.name for call, obs in self.pairs() if obs.executed)

    @property
    def failed(self) -> bool:
        """True if infrastructure (not the model) ended it: such a sample is set aside, never scored."""
        return self.termination is Termination.INFRASTRUCTURE

    @property
    def ended_turn(self) -> bool:
        """True if the last turn closed with the end-of-turn token."""
        return bool(self.turns) and self.turns[-1].finish_reason == "stop"

    def response(self) -> tuple[list[int], list[int], list[float]]:
        """Token view for training: ids, mask (1 = the model's own token, 0 = observation) and log-probabilities.

        Returns:
            Three lists of equal length; log-probabilities of observation tokens are 0.0.

        Raises:
            ValueError: in chat mode, where the server gave no ids.
        """
        ids: list[int] = []
        mask: list[int] = []
        logprobs: list[float] = []
        for turn in self.turns:
            if turn.token_ids is None:
                raise ValueError("a chat-mode trajectory has no token ids")
            ids += turn.token_ids
            mask += [1] * len(turn.token_ids)
            logprobs += turn.logprobs if turn.logprobs is not None else [0.0] * len(turn.token_ids)
            ids += turn.observation_ids
            mask += [0] * len(turn.observation_ids)
            logprobs += [0.0] * len(turn.observation_ids)
        return ids, mask, logprobs

    def reference(self) -> Reference:
        """This trajectory as a reference for a student."""
        return Reference(answer=self.answer, tool_calls=self.executed_calls, model=self.model)
