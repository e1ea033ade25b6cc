"""The two families: the student's tokenizer and shape, and the teacher's, which shares neither.

The student is a Qwen2 model with the tokenizer of the tiny world's recipe. The teacher is a Llama model whose byte-level BPE
was trained on its own way of speaking, and which has a chat template of its own. Both write calls in Hermes form, which is
what the system reads.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from examples.tiny import tokenizer as tiny
from experiments.world import habits
from experiments.world.operations import OPERATIONS, SYLLABLES
from experiments.world.questions import LARGE, SMALL, Problem, Shares, sample

PREFIX = '\n{"type": "function", "function": {"name": "'
TEACHER_TEMPLATE = Path(__file__).with_name("teacher_template.jinja")
TEXTS = 4000
SIZES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4},
    "large": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 8},
    "teacher": {"hidden_size": 144, "intermediate_size": 400, "num_hidden_layers": 4, "num_attention_heads": 6},
}
"""About 1, 5 and 1.3 million parameters."""
CONTEXT = 2048


def suffix(operation: str) -> str:
    """What follows a tool's name in the prompt: description and schema, one token of the student's."""
    function = {"description": OPERATIONS[operation].description, "parameters": OPERATIONS[operation].schema}
    return '", ' + json.dumps(function)[1:] + "}"


def fixed() -> tuple[str, ...]:
    """Stretches of the student's prompts that are one token each."""
    lines = ("You are a helpful assistant.", tiny.HEADER, PREFIX, tiny.FOOTER, habits.INSTRUCTION)
    return (*tiny.TAGS, *lines, *(suffix(name) for name in OPERATIONS), *tiny.SKELETON, *SYLLABLES)


def student_tokenizer(seed: int) -> PreTrainedTokenizerBase:
    """The student's tokenizer; the same seed gives the same one."""
    texts = list(_texts(seed, habits.STUDENT, habits.STUDENT_FAMILY))
    return tiny.trained(texts, fixed(), tiny.TEMPLATE.read_text())


def teacher_tokenizer(seed: int) -> PreTrainedTokenizerBase:
    """The teacher's tokenizer: another cut of texts, other special tokens beside those that end a turn."""
    core = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(r"\p{N}| ?[^\s\p{N}\p{P}]+|\p{P}|\s+"), "isolated")
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_texts(seed, habits.TEACHER, habits.TEACHER_FAMILY), trainer)
    lines = (PREFIX, *(suffix(name) for name in OPERATIONS), *tiny.TAGS, *SYLLABLES)
    core.add_tokens([AddedToken(text, special=False, normalized=False) for text in lines])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|end|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=TEACHER_TEMPLATE.read_text(),
    )


def new_model(size: str, words: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """A model of a size with random weights: Llama for the teacher, Qwen2 for students."""
    import torch

    torch.manual_seed(seed)
    shape = SIZES[size]
    common = {
        **shape,
        "vocab_size": (len(words) + 31) // 32 * 32,
        "num_key_value_heads": shape["num_attention_heads"],
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "dtype": "float32",
    }
    teacher = size == "teacher"
    model: PreTrainedModel = (
        LlamaForCausalLM(LlamaConfig(**common)) if teacher else Qwen2ForCausalLM(Qwen2Config(**common))
    )
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    return model


def training_problem(rng: random.Random, shares: Shares) -> Problem:
    """A question of pre-training: any length and size of numbers, usual or made-up names; never of an evaluation."""
    numbers = LARGE if rng.random() < LARGE_SHARE else SMALL
    varied = rng.random() < VARIED_SHARE
    return sample(rng, shares.draw(rng), numbers, test=False, names="varied" if varied else "usual")


LARGE_SHARE = 0.4
VARIED_SHARE = 0.35


def _texts(seed: int, acting: habits.Habits, family: habits.Family) -> Iterator[str]:
    rng = random.Random(seed)
    for index in range(TEXTS):
        problem = training_problem(rng, Shares((1, 1, 1, 1, 0.5)))
        turns = "".join(segment.text for segment in habits.dialogue(rng, problem, acting, family))
        tools = "" if index % 8 else "\n".join(json.dumps(spec.openai()) for spec in problem.tools)
        yield f"system\n{tools}\nuser\n{habits.user_text(problem.text)}\nassistant\n{turns}"
