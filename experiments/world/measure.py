"""Look at models of the world without any service: ``python -m experiments.world.measure [--world NAME] CHECKPOINT ...``.

Runs the project's agent loop on the local engine with the world's tools in process: accuracy by set, sampled at temperature 1
and greedily, how often tools were used, and how often an answer was said at once and was right.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from experiments.world.build import HERE
from experiments.world.operations import OPERATIONS
from experiments.world.questions import SPLITS
from mentor.analysis import tool_usage
from mentor.chat.formats import load_format
from mentor.data.questions import read_questions
from mentor.inference.base import SamplingParams
from mentor.inference.local import LocalEngine
from mentor.inference.local.weights import load_tokenizer
from mentor.rollout import RolloutLimits, Schedule, Task, TokenPolicy, run_many
from mentor.tools import ToolSpec
from mentor.tools.executor import Toolset
from mentor.tools.registry import ToolRegistry
from mentor.tools.render import render_error
from mentor.trajectory import Observation, Question, ToolCall, Trajectory

LIMITS = RolloutLimits(max_turns=8, max_response_tokens=512, max_turn_tokens=96)
_DESCRIBED = {operation.description: operation for operation in OPERATIONS.values()}


class InProcess:
    """Runs calls here."""

    async def execute(self, call: ToolCall, spec: ToolSpec) -> Observation:
        """Run a call whose arguments fit the schema."""
        try:
            text = str(_DESCRIBED[spec.description].run(**call.arguments))
        except ArithmeticError as error:
            content = render_error("tool_error", call.name, f"{type(error).__name__}: {error}")
            return Observation(name=call.name, content=content, ok=False, call_id=call.id, error_type="tool_error")
        return Observation(name=call.name, content=text, call_id=call.id)

    async def close(self) -> None:
        """Nothing is held open."""


async def draw(checkpoint: Path, questions: Sequence[Question], samples: int, temperature: float) -> list[Trajectory]:
    """Trajectories of a checkpoint on questions."""
    engine = LocalEngine(checkpoint, max_batch=128, seed=0)
    policy = TokenPolicy(engine, load_format(load_tokenizer(checkpoint)), model=checkpoint.name)
    registry, executor = ToolRegistry(), InProcess()
    tasks = [Task(question=question, sample=index) for question in questions for index in range(samples)]
    params = SamplingParams(temperature=temperature, max_tokens=96, seed=0)
    try:
        stream = run_many(
            tasks,
            policy,
            lambda question: Toolset(registry.for_question(question), {"sandbox": executor}),
            LIMITS,
            params,
            Schedule(concurrency=128),
        )
        return [trajectory async for _, trajectory in stream]
    finally:
        await engine.close()


def line(name: str, questions: Sequence[Question], drawn: Sequence[Trajectory]) -> str:
    """One row: accuracy, by number of steps too; usage, failed calls; of answers said at once, how many were right."""
    answers = {question.id: question.answers[0] for question in questions}
    steps = {question.id: question.metadata["steps"] for question in questions}
    right = {id(t): t.answer == answers[t.question_id] for t in drawn}
    usage = tool_usage(drawn)
    by_length = []
    for length in sorted(set(steps.values())):
        of_length = [right[id(t)] for t in drawn if steps[t.question_id] == length]
        by_length.append(f"{length}: {sum(of_length) / len(of_length):.2f}")
    at_once = [right[id(t)] for t in drawn if not t.calls]
    shortcut = f"{sum(at_once) / max(1, len(at_once)):.2f} of {len(at_once) / len(drawn):.2f}"
    return (
        f"| {name} | {sum(right.values()) / len(drawn):.3f} | {', '.join(by_length)} | {usage.usage_rate:.2f} "
        f"| {usage.invalid_rate:.2f} | {usage.calls_per_question:.2f} | {shortcut} |"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.world.measure", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="*", type=Path, default=[HERE / "checkpoints" / "small"])
    parser.add_argument("--world", default="base")
    parser.add_argument("--samples", type=int, default=4)
    args = parser.parse_args(argv)
    print("| model, set, decoding | accuracy | by steps | used tools | failed calls | calls | said at once: right |")
    print("|---|---|---|---|---|---|---|")
    for checkpoint in args.checkpoints:
        for split in SPLITS[1:]:
            questions = read_questions(HERE / "worlds" / args.world / "questions" / f"{split}.jsonl")
            for temperature, samples in ((1.0, args.samples), (0.0, 1)):
                drawn = asyncio.run(draw(checkpoint, questions, samples, temperature))
                how = "sampled" if temperature else "greedy"
                print(line(f"{checkpoint.name} {split} {how}", questions, drawn), flush=True)


if __name__ == "__main__":
    main()
