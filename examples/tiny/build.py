"""Make the tiny world from nothing: ``python -m examples.tiny.build --seed 0``.

Writes the corpus, the question sets, and the two checkpoints with their tokenizer under ``--out``. The same seed gives
the same data and tokenizer; weights agree up to the rounding of the machine's arithmetic.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase, Qwen2ForCausalLM

from examples.tiny import data, tokenizer
from examples.tiny.dialogues import STUBBORN, TEACHER, Mixture, mixture_of
from examples.tiny.pretrain import Encoder, Habits, Schedule, batches, new_model, train
from mentor.data.files import write_text

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Recipe:
    """How one checkpoint is made."""

    name: str
    habits: Habits
    schedule: Schedule
    start: str | None = None
    """The checkpoint whose weights it begins with; None begins from random ones."""


def _always_teacher(kind: str) -> Mixture:
    return TEACHER


RECIPES = {
    "student": Recipe("student", mixture_of, Schedule(steps=1000, peak=3e-3, floor=2e-4, drills=0.4, drills_end=0.04)),
    # The student has learned to copy and to read results; a good teacher differs in its habits, which are quick to change.
    "teacher": Recipe(
        "teacher", _always_teacher, Schedule(steps=200, peak=1e-3, floor=1e-4, warmup=20), start="student"
    ),
}


def build(recipe: Recipe, out: Path, seed: int, command: str) -> None:
    """Pre-train one checkpoint and write it with its provenance."""
    words = tokenizer.train(seed)
    model = Qwen2ForCausalLM.from_pretrained(out / recipe.start) if recipe.start else new_model(words, seed)
    with tqdm(total=recipe.schedule.steps, desc=recipe.name, unit="step", file=sys.stderr) as bar:

        def report(step: int, loss: float, seconds: float) -> None:
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

        drawn = batches(Encoder(words), recipe.habits, recipe.schedule, seed)
        loss = train(model, drawn, recipe.schedule, report)
    save(model, words, out / recipe.name, provenance(recipe, seed, command, loss))


def provenance(recipe: Recipe, seed: int, command: str, loss: float) -> dict[str, object]:
    """What made a checkpoint."""
    return {
        "made_by": command,
        "seed": seed,
        "start": recipe.start,
        "schedule": asdict(recipe.schedule),
        "habits": {"default": dict(recipe.habits("add")), "stubborn": STUBBORN if recipe.name == "student" else {}},
        "loss_of_the_last_50_steps": round(loss, 5),
        "torch": torch.__version__,
    }


def save(model: Qwen2ForCausalLM, words: PreTrainedTokenizerBase, out: Path, made: dict[str, object]) -> None:
    """Write a checkpoint in Hugging Face format."""
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    words.save_pretrained(out)
    for file in out.iterdir():
        file.chmod(0o644)
    write_text(out / "PROVENANCE.json", json.dumps(made, indent=2) + "\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Build everything, or what is named."""
    parser = argparse.ArgumentParser(prog="python -m examples.tiny.build", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("data", *RECIPES), help="build one part")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    command = f"python -m examples.tiny.build --seed {args.seed} --threads {args.threads}"
    if args.only in (None, "data"):
        for path in data.write(args.out, args.seed):
            print(path)
    for name, recipe in RECIPES.items():
        if args.only in (None, name):
            build(recipe, args.out / "checkpoints", args.seed, command)


if __name__ == "__main__":
    main()
