"""``python -m benchmarks.engine``: trajectories of several turns from the tiny student, by the local engine with and without
kept prefixes, and by ``transformers``' own ``generate`` in batches, turn by turn; in turn, several rounds.

A trajectory's prompt, the number and size of its turns, and the observations between them are seeded; four share a prompt, as
samples of one question do. A turn is cut at its size (no end token ends it), so that all three draw as many tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from benchmarks.results import Row
from mentor.inference.base import SamplingParams
from mentor.inference.local import LocalEngine
from mentor.inference.local.weights import load_model

STUDENT = Path(__file__).parents[2] / "examples" / "tiny" / "checkpoints" / "student"
GROUP, BATCH, LOWEST = 4, 64, 10


@dataclass(frozen=True)
class Plan:
    """A trajectory: its prompt, the tokens of each turn, and of the observation after it."""

    number: int
    prompt: list[int]
    turns: list[tuple[int, list[int]]]


def plans(count: int, vocabulary: int) -> list[Plan]:
    """Prompts of 200 to 280 tokens, two to six turns of 15 to 80, observations of 12."""
    made = []
    for number in range(count):
        shared, own = random.Random(number // GROUP), random.Random(number)
        prompt = [shared.randrange(LOWEST, vocabulary) for _ in range(shared.randrange(200, 281))]
        turns = [
            (own.randrange(15, 81), [own.randrange(LOWEST, vocabulary) for _ in range(12)])
            for _ in range(own.randrange(2, 7))
        ]
        made.append(Plan(number, prompt, turns))
    return made


def never_ending(model: PreTrainedModel) -> PreTrainedModel:
    """Without tokens that end a turn."""
    model.generation_config.eos_token_id = model.config.eos_token_id = None
    return model


async def by_engine(todo: list[Plan], model: PreTrainedModel, threads: int, kept_mb: int) -> int:
    """Tokens drawn."""
    engine = LocalEngine(model, max_batch=BATCH, max_queue=len(todo), threads=threads, prefix_cache_mb=kept_mb)
    room = asyncio.Semaphore(2 * BATCH)

    async def one(plan: Plan) -> int:
        ids, drawn = list(plan.prompt), 0
        async with room:
            for turn, (size, observation) in enumerate(plan.turns):
                params = SamplingParams(temperature=1.0, max_tokens=size, seed=100 * plan.number + turn)
                generation = await engine.generate(ids, params)
                drawn += len(generation.token_ids)
                ids += [*generation.token_ids, *observation]
        return drawn

    counts = await asyncio.gather(*map(one, todo))
    await engine.close()
    return sum(counts)


def by_transformers(todo: list[Plan], model: PreTrainedModel, threads: int) -> int:
    """Tokens drawn that belong to a trajectory: a batch's turn goes on until its longest has ended."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    drawn = 0
    for start in range(0, len(todo), BATCH):
        live = [(plan, list(plan.prompt)) for plan in todo[start : start + BATCH]]
        for turn in range(max(len(plan.turns) for plan, _ in live)):
            live = [(plan, ids) for plan, ids in live if turn < len(plan.turns)]
            longest, size = max(len(ids) for _, ids in live), max(plan.turns[turn][0] for plan, _ in live)
            padded = torch.tensor([[0] * (longest - len(ids)) + ids for _, ids in live])
            mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for _, ids in live])
            output = model.generate(padded, attention_mask=mask, do_sample=True, max_new_tokens=size, pad_token_id=0)
            for row, (plan, ids) in zip(output[:, longest:].tolist(), live, strict=True):
                own, observation = plan.turns[turn]
                drawn += own
                ids += [*row[:own], *observation]
    return drawn


def measured(work: Callable[[], int]) -> float:
    """Tokens a second."""
    began = time.perf_counter()
    return work() / (time.perf_counter() - began)


def main() -> int:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trajectories", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    model = never_ending(load_model(STUDENT))
    todo = plans(options.trajectories, model.config.vocab_size)
    ways: dict[str, Callable[[], int]] = {
        "kept": lambda: asyncio.run(by_engine(todo, model, options.threads, 512)),
        "none": lambda: asyncio.run(by_engine(todo, model, options.threads, 0)),
        "transformers": lambda: by_transformers(todo, model, options.threads),
    }
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, work in ways.items():
            seen[name].append(measured(work))
    found, samples = {name: tuple(values) for name, values in seen.items()}, options.rounds * options.trajectories
    rows = [
        Row("trajectories of several turns", "tokens/s", found["kept"], "no prefixes kept", found["none"], samples),
        Row("trajectories of several turns", "tokens/s", found["kept"], "transformers", found["transformers"], samples),
    ]
    print("\n".join(row.line() for row in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
