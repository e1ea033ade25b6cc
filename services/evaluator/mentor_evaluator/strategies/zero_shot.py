"""Retrieve, then read: passages for the question, then one generation."""

from __future__ import annotations

from mentor_evaluator.strategies._drafts import Draft, Drafted


async def _work(draft: Draft) -> None:
    await draft.generate(await draft.look_up(draft.question.question))


PLUGIN = Drafted("zero-shot", "passages for the question are shown, then one generation", _work)
