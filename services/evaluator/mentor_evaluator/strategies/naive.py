"""The model alone: one generation, no tools, nothing looked up."""

from __future__ import annotations

from mentor_evaluator.strategies._drafts import Draft, Drafted


async def _work(draft: Draft) -> None:
    await draft.generate(())


PLUGIN = Drafted("naive", "one generation from what the model knows, nothing looked up", _work)
