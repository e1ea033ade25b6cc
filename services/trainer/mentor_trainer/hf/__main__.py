"""``python -m mentor_trainer.hf SPEC.json ATTEMPT CHECKPOINTS [--resume FOLDER]``: train to the end or to the stop file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from transformers import Trainer

from mentor.errors import MentorError
from mentor_trainer.config import TrainSpec
from mentor_trainer.hf import dpo, sft
from mentor_trainer.hf.callback import STATE, RunCallback

BUILDERS: dict[str, Callable[[TrainSpec, Path], Trainer]] = {"sft": sft.build, "dpo": dpo.build}


def train(spec: TrainSpec, attempt: Path, folder: Path, resume: Path | None) -> None:
    """Run to the end or to the stop file, writing metrics into ``attempt`` and checkpoints into ``folder``."""
    trainer = BUILDERS[spec.algorithm](spec, folder)
    trainer.add_callback(RunCallback(spec, attempt, folder, trainer))
    trainer.train(resume_from_checkpoint=str(resume / STATE) if resume else None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("attempt", type=Path)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("--resume", type=Path)
    options = parser.parse_args()
    spec = TrainSpec.model_validate_json(options.spec.read_text())
    try:
        train(spec, options.attempt, options.checkpoints, options.resume)
    except MentorError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
