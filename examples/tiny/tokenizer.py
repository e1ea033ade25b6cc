"""The world's tokenizer: byte-level BPE trained on its dialogues, with Qwen2.5's special tokens and chat template.

Digits are single tokens, a line break is one token, and the fixed lines of the prompt (each tool's schema, the
template's boilerplate) are one token each, so that a prompt with twelve tools stays under 80 tokens. A tool that is
not of this world is spelled out in ordinary tokens.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from examples.tiny import corpus
from examples.tiny.dialogues import INSTRUCTION, dialogue, mixture_of, user_text
from examples.tiny.world import COMBINATION_KINDS, RL_KINDS, SEARCH_KINDS, SPECS, sample

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
VOCABULARY = 832
_PIECES = r"\p{N}|\n| ?[\p{L}_]+|[^\p{L}\p{N}_\n]+"
_HEADER = (
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_FOOTER = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)


def fixed_lines() -> list[str]:
    """Stretches of the prompt that become one token each."""
    tools = ["\n" + json.dumps(spec.openai(), ensure_ascii=False) for spec in SPECS.values()]
    return ["You are a helpful assistant.", _HEADER, *tools, _FOOTER, INSTRUCTION]


def _texts(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    kinds = RL_KINDS + COMBINATION_KINDS + SEARCH_KINDS
    texts = [place.passage for place in corpus.TRAINING]
    for index in range(count):
        problem = sample(rng, kinds[index % len(kinds)], test=False)
        turns = "".join(segment.text for segment in dialogue(rng, problem, mixture_of(problem.kind)))
        texts.append(f"system\nuser\n{user_text(problem.question)}\nassistant\n{turns}")
    return texts


def train(seed: int = 0, count: int = 6000) -> PreTrainedTokenizerFast:
    """Train the tokenizer; the same seed gives the same tokenizer."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_PIECES), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    texts = _texts(seed, count)
    for literal in (*SPECIAL, *TAGS, INSTRUCTION):
        texts = [text.replace(literal, "\n") for text in texts]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.add_tokens([AddedToken(text, special=False, normalized=False) for text in (*TAGS, *fixed_lines())])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE.read_text()
    return tokenizer
