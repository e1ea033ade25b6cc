"""IRCoT (arXiv 2212.10509): reasoning a sentence at a time, each of which is the next query."""

from __future__ import annotations

import re

from mentor.chat import extract_boxed
from mentor.errors import InfrastructureError
from mentor.inference import SamplingParams
from mentor.rollout import RolloutLimits
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.strategies._retrieval import Draft

STEPS = 5
MOST_PASSAGES = 15


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence, or the whole."""
    end = re.search(r"(?<=[.!?])\s", text.strip())
    return text.strip()[: end.start()] if end else text.strip()


class _IRCoT:
    name = "ircot"
    summary = "every sentence of reasoning is looked up before the next"

    async def draw(
        self,
        question: Question,
        policy: Policy,
        toolset: ToolRunner,
        limits: RolloutLimits,
        sampling: SamplingParams,
        *,
        sample: int = 0,
    ) -> Trajectory:
        draft = Draft(question, policy, toolset, limits, sampling, sample)
        try:
            passages = await draft.look_up(question.question)
            said = ""
            for _ in range(STEPS):
                turn = await draft.generate(passages, said)
                if turn is None or extract_boxed(turn.text) is not None:
                    break
                sentence = first_sentence(turn.text)
                said = f"{said} {sentence}".strip()
                found = await draft.look_up(sentence)
                passages = list(dict.fromkeys([*passages, *found]))[:MOST_PASSAGES]
        except InfrastructureError as error:
            return draft.lost(error)
        return draft.trajectory()


PLUGIN = _IRCoT()
