"""What is learnt before anything else: dialogues, facts of small arithmetic, copying; batches of them without end."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from examples.tiny.pretrain import Chunk, Dialogues, chunked
from experiments.world.families import training_problem
from experiments.world.habits import END, Family, Habits, Segment, dialogue, user_text
from experiments.world.operations import STEPS
from experiments.world.questions import LARGE_FACTORS, OPENINGS, SMALL, Problem, Shares

FACTS_A_ROW = 8
_MARK = "\0"


@dataclass(frozen=True)
class Diet:
    """What a batch is made of.

    ``facts``, ``drills``: shares of rows of arithmetic facts and of copying, at the start; ``late``: by how much they are
    multiplied once half of the steps are done. The rest are dialogues about chains, with lengths as in ``shares``.
    """

    habits: Habits
    family: Family
    facts: float = 0.0
    drills: float = 0.3
    late: float = 0.5
    shares: Shares = field(default_factory=lambda: Shares((0.4, 0.25, 0.17, 0.11, 0.07)))


class Encoder(Dialogues):
    """Token ids of prompts and dialogues. The template is rendered once; tools and question are put in."""

    def __init__(self, words: PreTrainedTokenizerBase) -> None:
        super().__init__(words)
        rendered = words.apply_chat_template(
            [{"role": "user", "content": user_text(_MARK)}],
            tools=[{"name": _MARK}],
            add_generation_prompt=True,
            tokenize=False,
        )
        self._before, rest = rendered.split("\n" + json.dumps({"name": _MARK}))
        self._between, self._after = rest.split(_MARK)

    def prompt(self, problem: Problem) -> list[int]:
        """Ids of a problem's prompt, as the chat template renders it."""
        tools = "".join("\n" + json.dumps(spec.openai(), ensure_ascii=False) for spec in problem.tools)
        return self.text(self._before + tools + self._between + problem.text + self._after)


def batches(encoder: Encoder, diet: Diet, steps: int, size: int, seed: int) -> Iterator[list[Chunk]]:
    """``steps`` batches of ``size`` rows, as padded chunks."""
    rng = random.Random(seed)
    for step in range(steps):
        fading = 1.0 if step < steps // 2 else diet.late
        shares = [diet.facts * fading, diet.drills * fading]
        kinds = rng.choices((_facts, _drill, None), weights=[*shares, 1 - sum(shares)], k=size)
        yield chunked([made(rng, encoder) if made else _dialogue(rng, encoder, diet) for made in kinds])


def _dialogue(rng: random.Random, encoder: Encoder, diet: Diet) -> tuple[list[int], list[int]]:
    """What an assistant does with a question."""
    problem = training_problem(rng, diet.shares)
    return encoder.example(encoder.prompt(problem), dialogue(rng, problem, diet.habits, diet.family))


def _facts(rng: random.Random, encoder: Encoder) -> tuple[list[int], list[int]]:
    """Lines of small arithmetic, as one learns a table by heart: the words of steps, not a question."""
    segments: list[Segment] = []
    while len(segments) < 2 * FACTS_A_ROW:
        operation = rng.choice(STEPS)
        a = rng.randint(*(SMALL.start if rng.random() < 0.7 else (SMALL.start[0], SMALL.limit)))
        bounds = SMALL.factor if operation.name in LARGE_FACTORS else SMALL.operand
        b = rng.randint(max(1, a // 2), a + a // 2) if operation.name in ("larger", "smaller") else rng.randint(*bounds)
        value = operation.run(a) if len(operation.parameters) == 1 else operation.run(a, b)
        if not 1 <= value <= SMALL.limit:
            continue
        said = rng.choice(operation.phrases).format(b=b)
        opening = rng.choice(OPENINGS).format(a=a)
        segments += [Segment(f"{opening} {said} ", False), Segment(f"{value}\n", True)]
    return encoder.example([], segments)


def _drill(rng: random.Random, encoder: Encoder) -> tuple[list[int], list[int]]:
    """Numbers to be repeated in the order given, which forms induction heads early."""
    listed = ", ".join(str(rng.randint(1, 10 ** rng.randint(1, 5))) for _ in range(rng.randint(3, 8)))
    head = encoder.text(f"<|im_start|>user\nRepeat {listed}{END}\n<|im_start|>assistant\n")
    return encoder.example(head, [Segment(listed + END, True)])
