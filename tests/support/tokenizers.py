"""Tokenizers for tests: the tiny world's (Qwen2.5's template), and the same with other families' templates."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

CHECKPOINT = Path(__file__).resolve().parents[2] / "examples" / "tiny" / "checkpoints" / "student"
QWEN3 = Path(__file__).with_name("qwen3.jinja")


@cache
def tokenizer(family: str = "qwen2.5") -> Any:
    """A tokenizer with the chat template of ``qwen2.5`` or ``qwen3``, or one that hides the tools (``blind``)."""
    loaded = AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)
    if family == "qwen3":
        loaded.chat_template = QWEN3.read_text()
    if family == "blind":
        loaded.chat_template = hiding_tools(loaded.chat_template)
    return loaded


def hiding_tools(template: str) -> str:
    """Qwen2.5's template without the part that lists the tools; calls and what came back stay."""
    hidden = template.replace("{%- if tools %}", "{%- if false %}")
    assert hidden != template
    return hidden
