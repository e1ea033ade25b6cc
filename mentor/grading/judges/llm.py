"""A model behind an OpenAI-compatible endpoint as a second judge."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.grading.llm import ask_model, llm_settings
from mentor.grading.verdict import Verdict


class _LLM:
    name = "llm"
    summary = "a model's majority vote (MENTOR_JUDGE_URL, MENTOR_JUDGE_MODEL): a second judge"

    def grade(self, prediction: str | None, golds: Sequence[str]) -> Verdict:
        return ask_model(llm_settings(), prediction, golds)


PLUGIN = _LLM()
