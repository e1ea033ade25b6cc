r"""A reward of the published code's kind: it reads the decoded transcript by regular expressions.

Written from the published description, to stand beside ours: 0 without the end-of-turn token at the end, 0.1 without a
box; else 0.7 for the last box anywhere in the text, 0.3 (0.06 if wrong) for the names that stand in ``<tool_call>`` anywhere
in the text, equal as sets to the teacher's, and 0.1 if all of them are known.
"""

from __future__ import annotations

import json
import re

from mentor.chat.answer import extract_boxed
from mentor.rewards import Judge

_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_NAME = re.compile(r'"name":\s*"([^"]+)"')


def text_reward(transcript: str, golds: tuple[str, ...], teacher: set[str], known: set[str], judge: Judge) -> float:
    """The reward of a transcript (all turns and observations after the prompt, special tokens included)."""
    if not transcript.endswith("<|im_end|>"):
        return 0.0
    answer = extract_boxed(transcript)
    if not (answer or "").strip():
        return 0.1
    names = [name for block in _CALL.findall(transcript) if (name := _name_in(block)) is not None]
    used, invented = {n for n in names if n in known}, {n for n in names if n not in known}
    right = judge(answer, golds)
    matched = 0.3 if used and used == teacher else 0.0
    return (0.7 if right else 0.0) + matched * (1.0 if right else 0.2) + (0.0 if invented else 0.1)


def _name_in(block: str) -> str | None:
    try:
        name = json.loads(block.strip()).get("name")
    except (ValueError, AttributeError):
        found = _NAME.search(block)
        return found.group(1) if found else None
    return name if isinstance(name, str) else None
