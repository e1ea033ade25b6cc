"""A judge that asks a model, through an OpenAI-compatible endpoint, and counts its votes.

It stands beside other judges, never in their place: what a model says of an answer depends on the model, so a verdict
carries the model's name, the hash of the prompt and the votes. An outage is an ``InfrastructureError``, never a verdict.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from mentor.errors import InfrastructureError, RequestRefusedError, UserError
from mentor.grading.verdict import Verdict
from mentor.inference import Endpoint, OpenAIChatClient, OpenAIServer, SamplingParams
from mentor.rpc.credentials import secret

PROMPT = resources.files("mentor.grading").joinpath("prompts/llm_judge.txt")
_VERDICT = re.compile(r"\b(CORRECT|WRONG)\b")


@dataclass(frozen=True)
class LLMSettings:
    """Where the judging model is, from the environment: ``MENTOR_JUDGE_URL``, ``MENTOR_JUDGE_MODEL``, and where wanted
    ``MENTOR_JUDGE_API_KEY`` (or ``..._FILE``), ``MENTOR_JUDGE_VOTES`` (odd), ``MENTOR_JUDGE_PROMPT`` (a file that holds
    ``{prediction}`` and ``{golds}``) and ``MENTOR_JUDGE_DEADLINE_S`` (of one verdict)."""

    url: str
    model: str
    api_key: str | None
    votes: int
    prompt: str
    deadline_s: float

    @property
    def prompt_hash(self) -> str:
        """Twelve digits of the prompt's SHA-256."""
        return hashlib.sha256(self.prompt.encode()).hexdigest()[:12]


def llm_settings() -> LLMSettings:
    """Settings of the environment.

    Raises:
        UserError: one is missing or not as it must be.
    """
    url, model = os.environ.get("MENTOR_JUDGE_URL", ""), os.environ.get("MENTOR_JUDGE_MODEL", "")
    if not url.startswith(("http://", "https://")):
        raise UserError(f"MENTOR_JUDGE_URL is {url!r}", field="MENTOR_JUDGE_URL", allowed="http://... or https://...")
    if not model:
        raise UserError("MENTOR_JUDGE_MODEL is not set", field="MENTOR_JUDGE_MODEL", allowed="the model's id there")
    votes = os.environ.get("MENTOR_JUDGE_VOTES", "1")
    if not votes.isdigit() or not 1 <= int(votes) <= 31 or int(votes) % 2 == 0:
        raise UserError(
            f"MENTOR_JUDGE_VOTES is {votes!r}", field="MENTOR_JUDGE_VOTES", allowed="an odd number, 1 to 31"
        )
    return LLMSettings(url, model, secret("MENTOR_JUDGE_API_KEY"), int(votes), _prompt(), _deadline())


def _prompt() -> str:
    path = os.environ.get("MENTOR_JUDGE_PROMPT")
    try:
        with open(path or str(PROMPT), encoding="utf-8") as file:
            prompt = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}", field="MENTOR_JUDGE_PROMPT", allowed="a text file") from error
    if "{prediction}" not in prompt or "{golds}" not in prompt:
        raise UserError(
            f"{path} lacks a placeholder", field="MENTOR_JUDGE_PROMPT", allowed="a text with {prediction} and {golds}"
        )
    return prompt


def _deadline() -> float:
    said = os.environ.get("MENTOR_JUDGE_DEADLINE_S", "120")
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise UserError(
            f"MENTOR_JUDGE_DEADLINE_S is {said!r}", field="MENTOR_JUDGE_DEADLINE_S", allowed="seconds, up to 3600"
        )
    return seconds


def ask_model(settings: LLMSettings, prediction: str | None, golds: Sequence[str]) -> Verdict:
    """The majority of the model's votes on one answer. ``values``: ``votes`` cast and ``right`` among them.

    Raises:
        InfrastructureError: the endpoint cannot be reached, or no majority of its replies holds a verdict.
        UserError: it refuses the key or the model's name.
    """
    if prediction is None or not prediction.strip():
        return Verdict(correct=False, reason="no_answer")
    started = time.monotonic()
    prompt = _filled(settings.prompt, prediction, golds)
    votes = [vote for vote in asyncio.run(_votes(settings, prompt)) if vote is not None]
    if 2 * len(votes) <= settings.votes:
        raise InfrastructureError(
            f"the judging model gave {len(votes)} verdicts of {settings.votes} that were asked for"
        )
    right = sum(votes)
    if 2 * right == len(votes):
        raise InfrastructureError(f"the judging model's {len(votes)} votes are split")
    correct = 2 * right > len(votes)
    return Verdict(
        correct=correct,
        reason="equal" if correct else "different",
        values={"votes": float(len(votes)), "right": float(right)},
        seconds=time.monotonic() - started,
        notes={"model": settings.model, "prompt_sha256": settings.prompt_hash},
    )


def _filled(prompt: str, prediction: str, golds: Sequence[str]) -> str:
    """Both as JSON strings, so that an answer cannot close its quotes and go on as instructions."""
    shown = {
        "{prediction}": json.dumps(prediction, ensure_ascii=False),
        "{golds}": json.dumps(list(golds), ensure_ascii=False),
    }
    return re.sub(r"\{prediction\}|\{golds\}", lambda place: shown[place.group()], prompt)


async def _votes(settings: LLMSettings, prompt: str) -> list[bool | None]:
    server = OpenAIServer(Endpoint(url=settings.url, model=settings.model, api_key=settings.api_key))
    client = OpenAIChatClient(server)
    try:
        return list(await asyncio.gather(*(_vote(client, settings, prompt, n) for n in range(settings.votes))))
    finally:
        await server.close()


async def _vote(client: OpenAIChatClient, settings: LLMSettings, prompt: str, number: int) -> bool | None:
    """One vote; None where the reply holds none, or the server refuses this one request."""
    params = SamplingParams(temperature=0.0 if settings.votes == 1 else 0.7, max_tokens=1024, seed=number)
    messages = [{"role": "user", "content": prompt}]
    try:
        reply = await client.chat(messages, [], params, request_id=f"judge-{number}", timeout_s=settings.deadline_s)
    except RequestRefusedError:
        return None
    verdicts = _VERDICT.findall(reply.content.rpartition("</think>")[2])
    return verdicts[-1] == "CORRECT" if verdicts else None
