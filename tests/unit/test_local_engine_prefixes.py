"""Prompts that begin like what the engine has seen: the same tokens as without, from fewer forwards, in bounded memory."""

from __future__ import annotations

import asyncio
import random

import pytest
import torch
from transformers import PreTrainedModel

from mentor.errors import UserError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local import LocalEngine
from mentor.inference.local.batch import Batch, Row
from mentor.inference.local.masks import Masks
from tests.support.random_model import END, VOCABULARY, random_model

CONTEXT = 512
KINDS = {
    "full": {},
    "sliding": {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 0},
    "mixed": {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1},
}


def greedy(model: PreTrainedModel, prompt: list[int], generation: Generation) -> tuple[int, ...]:
    """What transformers finds likeliest after the prompt and each token drawn."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *generation.token_ids]])).logits[0]
    return tuple(logits[len(prompt) - 1 : -1].argmax(-1).tolist())


async def conversation(engine: LocalEngine, number: int, temperature: float) -> list[tuple[list[int], Generation]]:
    """Some turns, each prompt the last one with its answer and a few tokens more; two of three begin alike."""
    shared, rng = random.Random(number // 3), random.Random(number)
    prompt, seen = [shared.randrange(2, VOCABULARY) for _ in range(shared.randrange(4, 60))], []
    if number % 3 == 2:
        prompt = [*prompt[: len(prompt) // 2], rng.randrange(2, VOCABULARY)]
    for turn in range(rng.randrange(1, 6)):
        params = SamplingParams(temperature=temperature, max_tokens=rng.randrange(1, 24), seed=number * 10 + turn)
        generation = await engine.generate(prompt, params)
        seen.append((prompt, generation))
        prompt = [*prompt, *generation.token_ids, *(rng.randrange(2, VOCABULARY) for _ in range(rng.randrange(1, 9)))]
    return seen


async def conversations(model: PreTrainedModel, kept_mb: int, temperature: float, count: int = 24) -> list[object]:
    engine = LocalEngine(model, max_batch=6, max_queue=100, seed=0, prefix_cache_mb=kept_mb)
    found = await asyncio.gather(*(conversation(engine, number, temperature) for number in range(count)))
    assert not engine.stats().running
    await engine.close()
    return [turn for turns in found for turn in turns]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KINDS)
async def test_greedy_turns_equal_those_of_transformers(kind: str, attention: str) -> None:
    model = random_model(CONTEXT, attn_implementation=attention, **KINDS[kind])
    turns = await conversations(model, 64, 0.0)
    assert len(turns) > 50
    for prompt, generation in turns:  # type: ignore[misc]
        assert generation.token_ids == greedy(model, prompt, generation)


async def test_sampled_turns_are_the_same_with_and_without_what_is_kept() -> None:
    model = random_model(CONTEXT)
    kept, none = [await conversations(model, mb, 1.0) for mb in (64, 0)]
    assert [(p, g.token_ids) for p, g in kept] == [(p, g.token_ids) for p, g in none]  # type: ignore[misc]
    for (_, one), (_, other) in zip(kept, none, strict=True):  # type: ignore[misc]
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def row(prompt: list[int], max_tokens: int = 4) -> Row:
    return Row(tuple(prompt), SamplingParams(temperature=0), max_tokens, (END,), torch.zeros(max_tokens))


def finished(batch: Batch, *rows: Row) -> None:
    batch.admit(list(rows))
    while len(batch):
        batch.step()


def prefilled(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each forward is given, from now on."""
    seen: list[int] = []
    forward = batch.model.forward

    def counted(input_ids: torch.Tensor, **rest: object) -> object:
        seen.append(input_ids.shape[1])
        return forward(input_ids=input_ids, **rest)

    monkeypatch.setattr(batch.model, "forward", counted)
    return seen


def test_only_what_is_new_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, prompt = Batch(random_model(CONTEXT), kept_mb=64), list(range(2, 42))
    first = row(prompt)
    finished(batch, first)
    seen = prefilled(batch, monkeypatch)
    finished(batch, row([*prompt, *first.tokens, 50, 51]))
    assert seen[0] == 3  # the last token drawn had not been read yet
    seen.clear()
    finished(batch, row([*prompt[:30], 60, 61]))
    assert seen[0] == 2
    seen.clear()
    finished(batch, row([90, *prompt]))
    assert seen[0] == 41
    batch.evict()
    seen.clear()
    finished(batch, row(prompt))
    assert seen[0] == 40, "kept over a change of weights"


def test_what_is_kept_stays_within_its_memory() -> None:
    model = random_model(CONTEXT)
    batch, generator = Batch(model, kept_mb=1), random.Random(0)
    for _ in range(40):
        finished(batch, *(row([generator.randrange(2, VOCABULARY) for _ in range(300)]) for _ in range(8)))
    slots = batch._slots  # the memory itself is what this is about
    kept = len(batch._index)
    assert 0 < slots.bytes_of(kept) <= 2**20 < slots.bytes_of(kept + 2)
    assert slots.count < kept + 16, "what the live rows took was not given back"
    none = Batch(model)
    finished(none, row(list(range(2, 40))))
    assert (len(none._index), none._slots.count) == (0, 0)


def test_a_kind_of_layer_that_is_not_known_is_refused() -> None:
    model = random_model(CONTEXT)
    model.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(UserError, match="linear_attention") as caught:
        Masks(model)
    assert caught.value.field == "model"
