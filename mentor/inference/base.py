"""The small interface behind which every model server stands.

Two kinds of client exist. A ``TokenClient`` takes token ids and returns token ids (vLLM, SGLang, the local engine,
verl's rollout servers): the ids that the server returns are the truth. A ``ChatClient`` speaks messages and lets the
server render and parse (any OpenAI-compatible endpoint, including black-box teachers with another tokenizer).
"""

from __future__ import annotations

from typing import Any, Protocol

from mentor.trajectory import Frozen, ToolCall


class SamplingParams(Frozen):
    """How to sample. ``temperature`` 0 is greedy; ``top_k`` -1 and ``top_p`` 1 switch truncation off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int = 512
    seed: int | None = None
    stop_token_ids: tuple[int, ...] = ()


class Generation(Frozen):
    """Generated tokens, the end-of-turn token included.

    ``logprobs``: one per token, under softmax(logits / temperature) before any truncation, as the trainer computes them.
    ``finish_reason``: ``stop``, ``length`` or ``abort``.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None = None
    finish_reason: str = "stop"
    text: str | None = None


class ChatCompletion(Frozen):
    """One assistant message of a chat server, its calls already parsed.

    ``prompt_tokens`` and ``completion_tokens``: the server's own count, None where it gives none.
    """

    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    finish_reason: str = "stop"
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class TokenClient(Protocol):
    """Token ids in, token ids out."""

    async def generate(
        self, prompt_ids: list[int], params: SamplingParams, *, request_id: str, timeout_s: float
    ) -> Generation:
        """Continue ``prompt_ids``.

        Raises:
            InfrastructureError: the server is unreachable, failed, or the deadline passed.
            RequestRefusedError: the server refused this request (too long for the context, filtered, malformed).
            UserError: the server refuses requests of this kind, whichever they are.
        """
        ...


class ChatClient(Protocol):
    """Messages in, one assistant message out."""

    async def chat(
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]],
        params: SamplingParams,
        *,
        request_id: str,
        timeout_s: float,
        fill_context: bool = False,
    ) -> ChatCompletion:
        """Answer ``messages``; raises as ``TokenClient.generate`` does.

        ``fill_context``: leave ``max_tokens`` to the server, which then gives what its context has left.
        """
        ...
