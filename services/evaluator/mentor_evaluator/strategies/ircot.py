"""IRCoT (arXiv 2212.10509): reasoning a sentence at a time, each of which is the next query."""

from __future__ import annotations

import re

from mentor.chat import extract_boxed
from mentor_evaluator.strategies._drafts import Draft, Drafted

STEPS = 5
MOST_PASSAGES = 15


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence, or the whole."""
    end = re.search(r"(?<=[.!?])\s", text.strip())
    return text.strip()[: end.start()] if end else text.strip()


async def _work(draft: Draft) -> None:
    passages = await draft.look_up(draft.question.question)
    said = ""
    for _ in range(STEPS):
        turn = await draft.generate(passages, said)
        if turn is None or extract_boxed(turn.text) is not None:
            return
        sentence = first_sentence(turn.text)
        said = f"{said} {sentence}".strip()
        found = await draft.look_up(sentence)
        passages = list(dict.fromkeys([*passages, *found]))[:MOST_PASSAGES]


PLUGIN = Drafted("ircot", "every sentence of reasoning is looked up before the next", _work)
