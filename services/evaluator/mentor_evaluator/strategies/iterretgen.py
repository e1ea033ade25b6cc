"""Iter-RetGen (arXiv 2305.15294): what was generated is the next query, beside the question."""

from __future__ import annotations

from mentor_evaluator.strategies._drafts import Draft, Drafted

ITERATIONS = 3


async def _work(draft: Draft) -> None:
    said = ""
    for _ in range(ITERATIONS):
        turn = await draft.generate(await draft.look_up(f"{draft.question.question} {said}".strip()))
        if turn is None:
            return
        said = turn.text


PLUGIN = Drafted("iterretgen", "what was generated helps to look up again, three times", _work)
