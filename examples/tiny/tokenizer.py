"""The world's tokenizer: byte-level BPE trained on its dialogues, with Qwen2.5's special tokens and chat template.

Text is cut as Qwen2's tokenizer cuts it (transformers builds that one for every Qwen2 model, whatever was saved), so
digits are single tokens. The fixed stretches of the prompt (each tool's schema, the template's boilerplate) and the
skeleton of a call are one token each: a prompt with twelve tools stays under 80 tokens, a call under 25. A tool that
is not of this world is spelled out in ordinary tokens.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

from examples.tiny import corpus
from examples.tiny.dialogues import INSTRUCTION, dialogue, mixture_of, user_text
from examples.tiny.world import COMBINATION_KINDS, RL_KINDS, SEARCH_KINDS, SPECS, sample

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
SKELETON = ('{"name": "', '", "arguments": {"', '": ', ', "')
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
VOCABULARY = 1024
HEADER = (
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
FOOTER = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, '
    '"arguments": <args-json-object>}\n</tool_call>'
)


def fixed_lines() -> list[str]:
    """Stretches of the prompt that become one token each."""
    tools = ["\n" + json.dumps(spec.openai(), ensure_ascii=False) for spec in SPECS.values()]
    return ["You are a helpful assistant.", HEADER, *tools, FOOTER, INSTRUCTION]


def _texts(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    kinds = RL_KINDS + COMBINATION_KINDS + SEARCH_KINDS
    texts = [place.passage for place in corpus.TRAINING]
    for index in range(count):
        problem = sample(rng, kinds[index % len(kinds)], test=False)
        turns = "".join(segment.text for segment in dialogue(rng, problem, mixture_of(problem.kind)))
        texts.append(f"system\nuser\n{user_text(problem.question)}\nassistant\n{turns}")
    return texts


def train(seed: int = 0, count: int = 6000) -> Qwen2Tokenizer:
    """Train the tokenizer; the same seed gives the same tokenizer."""
    return trained(_texts(seed, count), (*TAGS, *fixed_lines(), *SKELETON), TEMPLATE.read_text())


def trained(texts: list[str], added: tuple[str, ...], template: str) -> Qwen2Tokenizer:
    """A tokenizer for texts, in which every text of ``added`` is one token.

    Args:
        template: the chat template.
    """
    pipeline = Qwen2Tokenizer().backend_tokenizer
    core = Tokenizer(models.BPE())
    core.normalizer, core.pre_tokenizer, core.decoder = (
        pipeline.normalizer,
        pipeline.pre_tokenizer,
        decoders.ByteLevel(),
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_without(texts, (*SPECIAL, *added)), trainer)
    core.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    return _wrap(core, template)


def _without(texts: list[str], literals: tuple[str, ...]) -> Iterator[str]:
    """Texts cut at the stretches that are tokens already."""
    cut = re.compile("|".join(map(re.escape, sorted(literals, key=len, reverse=True))))
    for text in texts:
        yield from filter(None, cut.split(text))


def _wrap(core: Tokenizer, template: str) -> Qwen2Tokenizer:
    """The trained tokenizer as transformers will load it from disk."""
    with tempfile.TemporaryDirectory() as directory:
        core.save(f"{directory}/tokenizer.json")
        return Qwen2Tokenizer.from_pretrained(
            directory,
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
            additional_special_tokens=["<|im_start|>", "<|im_end|>"],
            model_max_length=2048,
            clean_up_tokenization_spaces=False,
            chat_template=template,
        )
