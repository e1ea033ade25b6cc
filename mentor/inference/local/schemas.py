"""Requests of OpenAI's interface, and of vLLM's token interface, as far as this server does what they ask.

A field that would be ignored in silence elsewhere (guided decoding, penalties) is refused here by name; fields without
influence on the answer (``user``, ``metadata``) are accepted.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mentor.inference.base import SamplingParams


class Body(BaseModel):
    """Base of request bodies: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    include_usage: bool = False


class Sampling(Body):
    """What both generation endpoints share."""

    model: str | None = None
    n: int = Field(default=1, ge=1, le=128)
    temperature: float | None = Field(default=1.0, ge=0, le=100)
    top_p: float | None = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=-1, ge=-1)
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0)
    stop_token_ids: list[int] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    return_token_ids: bool = False
    skip_special_tokens: bool = True
    # Only their neutral values are accepted.
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    repetition_penalty: Literal[1] | None = None
    min_p: Literal[0] | None = None
    stop: None = None
    logit_bias: None = None
    # No influence on the answer.
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None

    def params(self, max_tokens: int) -> SamplingParams:
        """Sampling parameters of the first choice."""
        return SamplingParams(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=-1 if self.top_k is None else self.top_k,
            max_tokens=max_tokens,
            seed=self.seed,
            stop_token_ids=tuple(self.stop_token_ids or ()),
        )


class ResponseFormat(BaseModel):
    """Only plain text is produced."""

    type: Literal["text"]


class ChatRequest(Sampling):
    """POST /v1/chat/completions."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["auto", "none"] | None = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: Literal[0] | None = None
    response_format: ResponseFormat | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class CompletionRequest(Sampling):
    """POST /v1/completions; a prompt is text or token ids, or a list of either."""

    prompt: str | list[int] | list[str] | list[list[int]]
    logprobs: int | None = Field(default=None, ge=0, le=0, description="0: of the generated tokens; no alternatives")
    echo: Literal[False] | None = None
    suffix: None = None
    best_of: Literal[1] | None = None


class TokenSampling(BaseModel):
    """``sampling_params`` of the token interface."""

    model_config = ConfigDict(extra="forbid")

    temperature: float = Field(default=1.0, ge=0, le=100)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=-1, ge=-1)
    max_tokens: int = Field(default=16, ge=1)
    seed: int | None = Field(default=None, ge=0)
    stop_token_ids: list[int] = Field(default_factory=list)
    n: int = Field(default=1, ge=1, le=128)
    logprobs: Literal[0] | None = 0
    detokenize: bool = False


class GenerateRequest(Body):
    """POST /inference/v1/generate: token ids in, token ids out."""

    token_ids: list[int] = Field(min_length=1)
    sampling_params: TokenSampling = Field(default_factory=TokenSampling)
    model: str | None = None
    request_id: str | None = None


class TokenizeRequest(Body):
    """POST /tokenize: text, or messages through the chat template."""

    model: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    add_generation_prompt: bool = True
    add_special_tokens: bool = False
    return_token_strs: bool = False


class DetokenizeRequest(Body):
    """POST /detokenize."""

    model: str | None = None
    tokens: list[int]
