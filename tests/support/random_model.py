"""A small model with random weights, for what holds whatever a model has learnt."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

VOCABULARY, END = 97, 1


def random_model(context: int, **more: Any) -> PreTrainedModel:
    """Grouped-query attention, and sharp enough that greedy choices are no near ties; ``more`` goes to its configuration."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.4,
        eos_token_id=END,
        pad_token_id=0,
        bos_token_id=None,
        **more,
    )
    built = Qwen2ForCausalLM(config)
    built.generation_config.eos_token_id = END
    built.generation_config.pad_token_id = 0
    return built.eval()
