"""The process of a method that runs on TRL. Imports neither torch nor TRL: the service asks for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mentor.data import write_text

if TYPE_CHECKING:
    from mentor_trainer.config import TrainSpec
    from mentor_trainer.methods import Condition
    from mentor_trainer.overrides import RunPaths


def command(spec: TrainSpec, paths: RunPaths) -> tuple[str, ...]:
    """One process, or one a device under torchrun, all on this machine."""
    resolved = paths.attempt / "spec.json"
    write_text(resolved, spec.model_dump_json(indent=1))
    resume = ("--resume", str(paths.resume_from)) if paths.resume_from else ()
    folders = (str(resolved), str(paths.attempt), str(paths.checkpoints))
    ranks = spec.n_gpus_per_node
    torchrun = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}") if ranks > 1 else ()
    return sys.executable, *torchrun, "-m", "mentor_trainer.hf", *folders, *resume


def conditions(spec: TrainSpec) -> list[Condition]:
    """What every method on TRL needs."""
    ranks = spec.n_gpus_per_node
    return [
        ("nnodes", f"1 with {spec.algorithm}", spec.nnodes == 1),
        (
            "train_batch_size",
            f"a multiple of {ranks} devices (n_gpus_per_node)",
            spec.train_batch_size % ranks == 0,
        ),
    ]
