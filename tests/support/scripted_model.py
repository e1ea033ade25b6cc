"""A model that answers a suite's questions in known shares: right, wrong, hostile, cut, right in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mentor.trajectory import Question
from tests.support.openai_server import Reply, said

KINDS = ("right", "wrong", "silent", "cut", "hostile")
HOSTILE = ("\\boxed{10^{10^{10^{10}}}}", "\\boxed{" + "(" * 3000 + "1" + ")" * 3000 + "}", "\\boxed{(10^8)!}")


@dataclass
class ScriptedModel:
    """Answers by the question's text; what it does is fixed by the question's place in its suite."""

    questions: Sequence[Question]
    asked: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.by_text = {question.question: (n, question) for n, question in enumerate(self.questions)}

    def kind(self, question: Question) -> str:
        """What it does with a question."""
        return self._kind(self.by_text[question.question][0])

    def _kind(self, number: int) -> str:
        """Hostile answers cost a judge its whole deadline: there is one, and the others say nothing."""
        kind = KINDS[number % len(KINDS)]
        return "silent" if kind == "hostile" and number >= len(KINDS) else kind

    def __call__(self, body: dict[str, Any]) -> Reply:
        text = body["messages"][-1]["content"]
        if text not in ("", None) and "Question: " in text:
            text = text.split("Question: ", 1)[1].rsplit("\n\nIf you have got the answer", 1)[0]
        if text not in self.by_text:
            return said("\\boxed{2}")  # the probe
        number, question = self.by_text[text]
        self.asked[question.id] += 1
        kind = self._kind(number)
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        if kind == "right":
            return said(f"It is \\boxed{{{question.answers[0].strip('$')}}}.", usage=usage)
        if kind == "wrong":
            return said("It is \\boxed{-987654321.5}.", usage=usage)
        if kind == "silent":
            return said("I cannot tell.", usage=usage)
        if kind == "hostile":
            return said(HOSTILE[number % len(HOSTILE)], usage=usage)
        message = {"role": "assistant", "content": "Let me think about"}
        return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "length"}], "usage": usage}
