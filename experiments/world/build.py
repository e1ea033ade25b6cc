"""Make the worlds from nothing: ``python -m experiments.world.build data|small|large|teacher``.

``data`` writes the question sets of every world in ``WORLDS`` (a second); the others pre-train one model each. The same seed
gives the same questions and tokenizers to the byte; weights agree up to the rounding of the machine's arithmetic, so the
models that an experiment was run with are committed beside its records.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM

from examples.tiny.pretrain import Schedule, train
from experiments.world import families, habits
from experiments.world.pretrain import Diet, Encoder, batches
from experiments.world.questions import SPLITS, Shares, Split, problems, question
from mentor.data.files import write_text
from mentor.data.questions import write_questions

HERE = Path(__file__).parent.parent
COUNTS: dict[Split, int] = {"train": 400, "in_domain": 120, "ood_numbers": 60, "ood_combinations": 60, "ood_tools": 60}


@dataclass(frozen=True)
class World:
    """The dials of a world: shares of chain lengths among the questions that are trained and evaluated on."""

    shares: Shares


def _shares(short: float, long: float) -> Shares:
    """``short``: share of one step, where the shortcut is mostly right; ``long``: of four or five, rarely right at first."""
    middle = 1 - short - long
    return Shares((short, middle * 0.6, middle * 0.4, long * 0.7, long * 0.3))


WORLDS: dict[str, World] = {"base": World(_shares(0.45, 0.2))} | {
    f"short{int(100 * short)}-long{int(100 * long)}": World(_shares(short, long))
    for short in (0.2, 0.45, 0.7)
    for long in (0.05, 0.15, 0.3)
}
"""That of the main comparison, and nine for the map: by how often the shortcut serves, and how often right answers are rare."""


@dataclass(frozen=True)
class Recipe:
    """How one model is made: what it reads, how long, and from where it starts (None: from random weights)."""

    diet: Diet
    schedule: Schedule


_STUDENT = Diet(habits.STUDENT, habits.STUDENT_FAMILY, facts=0.3, drills=0.2)
_TEACHER = Diet(habits.TEACHER, habits.TEACHER_FAMILY, drills=0.3)
RECIPES = {
    "small": Recipe(_STUDENT, Schedule(steps=1500, peak=3e-3, floor=1e-4)),
    "large": Recipe(_STUDENT, Schedule(steps=1600, peak=2e-3, floor=1e-4)),
    "teacher": Recipe(_TEACHER, Schedule(steps=800, peak=3e-3, floor=1e-4, batch=16)),
}


def build_data(out: Path, seed: int) -> list[Path]:
    """Write every world's question sets; the same seed gives the same bytes."""
    written = []
    for name, world in WORLDS.items():
        for split in SPLITS:
            found = problems(split, COUNTS[split], seed, world.shares)
            path = out / "worlds" / name / "questions" / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_questions([question(p, f"{split}-{i:04d}") for i, p in enumerate(found)], path)
            written.append(path)
    return written


def build_model(name: str, out: Path, seed: int, command: str, steps: int | None = None) -> None:
    """Pre-train one model and write it with its provenance."""
    recipe = RECIPES[name]
    schedule = replace(recipe.schedule, steps=steps or recipe.schedule.steps)
    words = families.teacher_tokenizer(seed) if name == "teacher" else families.student_tokenizer(seed)
    model = families.new_model(name, words, seed)
    with tqdm(total=schedule.steps, desc=name, unit="step", file=sys.stderr, mininterval=10) as bar:

        def report(step: int, loss: float, seconds: float) -> None:
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

        drawn = batches(Encoder(words), recipe.diet, schedule.steps, schedule.batch, seed)
        loss = train(model, drawn, schedule, report)
    folder = out / "checkpoints" / name
    folder.mkdir(parents=True, exist_ok=True)
    # Half of the bytes: the experiment starts from what is written here, so nothing is lost by rounding.
    model.to(torch.bfloat16).save_pretrained(folder)
    words.save_pretrained(folder)
    made = {
        "made_by": command,
        "seed": seed,
        "schedule": asdict(schedule),
        "diet": asdict(recipe.diet),
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss_of_the_last_50_steps": round(loss, 5),
        "torch": torch.__version__,
    }
    write_text(folder / "PROVENANCE.json", json.dumps(made, indent=2) + "\n")
    AutoModelForCausalLM.from_pretrained(folder)


def main(argv: Sequence[str] | None = None) -> None:
    """Build what is named."""
    parser = argparse.ArgumentParser(prog="python -m experiments.world.build", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=("data", *RECIPES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, help="of pre-training, in place of the recipe's")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    command = f"python -m experiments.world.build {' '.join(args.parts)} --seed {args.seed} --threads {args.threads}"
    for part in args.parts:
        if part == "data":
            print("\n".join(map(str, build_data(args.out, args.seed))))
        else:
            build_model(part, args.out, args.seed, command, args.steps)


if __name__ == "__main__":
    main()
