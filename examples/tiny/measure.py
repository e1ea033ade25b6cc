"""Measure checkpoints of the tiny world: ``python -m examples.tiny.measure [CHECKPOINT ...]``.

Runs the project's agent loop on the local engine with the world's own tools in process: accuracy with 95% intervals
sampled at temperature 1 (4 samples per question) and greedy, and how the tools were used.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from examples.tiny.tools import toolset
from mentor.analysis.intervals import Estimate, cluster_bootstrap
from mentor.analysis.usage import ToolUsage, tool_usage
from mentor.chat.formats import load_format
from mentor.data.questions import read_questions
from mentor.grading.equivalence import equivalent
from mentor.inference.base import SamplingParams
from mentor.inference.local import LocalEngine
from mentor.inference.local.weights import load_tokenizer
from mentor.rollout import RolloutLimits, Schedule, Task, TokenPolicy, run_many
from mentor.trajectory import Question, Trajectory

HERE = Path(__file__).parent
SPLITS = ("train", "in_domain", "ood_phrasing", "ood_search")
LIMITS = RolloutLimits(max_turns=5, max_response_tokens=512, max_turn_tokens=128)
Sampled = list[tuple[Question, Trajectory]]


async def sample(
    checkpoint: Path, questions: Sequence[Question], samples: int, temperature: float, seed: int
) -> Sampled:
    """Trajectories of a checkpoint on questions."""
    engine = LocalEngine(checkpoint, max_batch=64, seed=seed)
    policy = TokenPolicy(engine, load_format(load_tokenizer(checkpoint)), model=checkpoint.name)
    tasks = [Task(question=question, sample=index) for question in questions for index in range(samples)]
    params = SamplingParams(temperature=temperature, max_tokens=128, seed=seed)
    try:
        stream = run_many(
            tasks,
            policy,
            lambda question: toolset(question.tools or ()),
            LIMITS,
            params,
            Schedule(concurrency=64),
        )
        return [(task.question, trajectory) async for task, trajectory in stream]
    finally:
        await engine.close()


def correct(question: Question, trajectory: Trajectory) -> bool:
    """Whether the boxed answer equals the ground truth."""
    return trajectory.answer is not None and equivalent(trajectory.answer, question.answers[0])[0]


def accuracy(sampled: Sampled) -> Estimate:
    """Accuracy with its interval, clustered by question."""
    values: dict[str, list[float]] = defaultdict(list)
    for question, trajectory in sampled:
        values[question.id].append(float(correct(question, trajectory)))
    return cluster_bootstrap(values)


def by_kind(sampled: Sampled) -> dict[str, float]:
    """Accuracy of every problem kind."""
    values: dict[str, list[float]] = defaultdict(list)
    for question, trajectory in sampled:
        values[question.category or ""].append(float(correct(question, trajectory)))
    return {kind: sum(found) / len(found) for kind, found in values.items()}


def line(name: str, split: str, how: str, estimate: Estimate, usage: ToolUsage) -> str:
    """One row of the table."""
    return (
        f"| {name} | {split} | {how} | {estimate.mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}] "
        f"| {usage.invalid_rate:.2f} | {usage.usage_rate:.2f} | {usage.calls_per_question:.2f} |"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m examples.tiny.measure", description=__doc__)
    checkpoints = [HERE / "checkpoints" / name for name in ("student", "teacher")]
    parser.add_argument("checkpoints", nargs="*", type=Path, default=checkpoints)
    parser.add_argument("--splits", nargs="+", default=SPLITS[1:], choices=SPLITS)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", action="store_true", help="accuracy of every problem kind as well")
    args = parser.parse_args(argv)
    print("| model | questions | decoding | accuracy [95%] | failed calls | used tools | calls |")
    print("|---|---|---|---|---|---|---|")
    for checkpoint in args.checkpoints:
        for split in args.splits:
            questions = read_questions(HERE / "questions" / f"{split}.jsonl")
            for temperature, samples in ((1.0, args.samples), (0.0, 1)):
                sampled = asyncio.run(sample(checkpoint, questions, samples, temperature, args.seed))
                usage = tool_usage([trajectory for _, trajectory in sampled])
                how = f"sampled, {samples} each" if temperature else "greedy"
                print(line(checkpoint.name, split, how, accuracy(sampled), usage), flush=True)
                if args.kinds:
                    print("  " + ", ".join(f"{k} {v:.2f}" for k, v in by_kind(sampled).items()), flush=True)


if __name__ == "__main__":
    main()
