"""A prompt read once for all its samples: the models say of every response what they say of it alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from mentor_trainer.verl_ext.shared_prompts import can_share, fit, share
from tests.support.grpo_equation import log_probabilities
from tests.support.random_model import VOCABULARY, random_model

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "initializer_range": 0.4,
}  # fmt: skip
MODELS: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: random_model(128),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
}
Pairs = list[tuple[list[int], list[int]]]
"""Prompts with responses."""


def pairs() -> Pairs:
    """Three prompts of unequal lengths; samples of one do not all stand together, and one prompt has a single sample."""
    draw = torch.Generator().manual_seed(5)

    def ids(count: int) -> list[int]:
        return torch.randint(2, VOCABULARY, (count,), generator=draw).tolist()

    first, second, third = ids(7), ids(20), ids(4)
    rows = [(first, 5), (second, 9), (first, 1), (first, 12), (third, 30), (second, 3)]
    return [(prompt, ids(count)) for prompt, count in rows]


def micro_batch(rows: Pairs) -> TensorDict:
    """As verl hands it to its engine."""

    def nested(values: list[list[int]]) -> torch.Tensor:
        return torch.nested.as_nested_tensor([torch.tensor(v) for v in values], layout=torch.jagged)

    fields = {"input_ids": nested([p + r for p, r in rows]), "responses": nested([r for _, r in rows])}
    return TensorDict(fields, batch_size=len(rows))


@pytest.mark.parametrize("hidden", [1, 32, 100_000])
@pytest.mark.parametrize("kind", list(MODELS))
def test_every_response_has_the_probabilities_that_it_has_alone(kind: str, hidden: int) -> None:
    torch.manual_seed(0)
    model, rows = MODELS[kind]().eval(), pairs()
    assert can_share(model.config)
    data = micro_batch(rows)
    shared = share(data, hidden)
    with torch.no_grad():
        chosen = model(**shared.inputs).logits.flatten(0, 1)[shared.predictors]
    values = torch.log_softmax(chosen, -1).gather(-1, shared.labels[:, None])[:, 0]
    whole = shared.spread(values, data["input_ids"].offsets())
    for number, ((prompt, response), row) in enumerate(zip(rows, whole.unbind(), strict=True)):
        assert torch.equal(shared.labels[shared.owners == number], torch.tensor(response))
        begin = len(prompt) - 1
        alone = log_probabilities(model, prompt, response)
        torch.testing.assert_close(row[begin:-1], alone, rtol=1e-5, atol=1e-5)
        assert not row[:begin].any() and not row[-1]


def test_where_products_weigh_most_a_prompt_is_read_once() -> None:
    rows = pairs()
    ids = share(micro_batch(rows), hidden=100_000).inputs["input_ids"]
    longest = max(len(prompt) + sum(len(response) for other, response in rows if other == prompt) for prompt, _ in rows)
    assert ids.shape == (3, longest)


def test_long_responses_share_no_row_that_attention_would_make_dear() -> None:
    prompt, lengths = [1] * 70, [500, 260, 250, 240, 130, 120, 110, 100]
    rows = fit([(prompt, list(range(8)))], lengths, hidden=128)
    assert sorted(row for _, members in rows for row in members) == list(range(8))
    widths = [70 + sum(lengths[row] for row in members) for _, members in rows]
    assert 570 <= max(widths) < 800 and 3 <= len(widths) < 8
    short = fit([(prompt, list(range(8)))], [20] * 8, hidden=128)
    assert len(short) == 1


def test_only_full_attention_by_torchs_kernel_takes_the_mask() -> None:
    sliding = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
    assert not can_share(random_model(128, **sliding).config)
    assert not can_share(random_model(128, attn_implementation="eager").config)
