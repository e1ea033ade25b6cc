"""Several optimisation steps of verl's actor on several ranks: processes with gloo between them, as Ray would start them.

``python -m tests.support.verl_ranks PLAN.json`` is one rank; ``run`` starts them all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from mentor.trajectory import Frozen
from tests.support.chaos import free_port
from tests.support.service_process import ROOT, environment


class Plan(Frozen):
    """Steps ``first`` to ``last`` on the batches of ``batches(model, step)``; weights and gradients go to ``output``.

    ``load``: a checkpoint to go on from. ``save``: where the checkpoint after step ``save_after`` goes.
    """

    folder: Path
    model: Path
    output: Path
    first: int = 1
    last: int = 3
    load: Path | None = None
    save: Path | None = None
    save_after: int = 1
    values: dict[str, Any] = {}


def run(plan: Plan, ranks: int) -> dict[str, Any]:
    """The plan on so many ranks; ``gradients`` by step (of every mini-batch) and ``weights`` at the end.

    Raises:
        AssertionError: a rank failed; with what it said.
    """
    plan.output.parent.mkdir(parents=True, exist_ok=True)
    file = plan.output.with_suffix(".json")
    file.write_text(plan.model_dump_json())
    shared = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    processes = []
    for rank in range(ranks):
        own = {**shared, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": 1, "VERL_PLATFORM": "cpu"}
        env = environment({name: str(value) for name, value in own.items()})
        log = plan.output.with_suffix(f".{rank}.log").open("w")
        command = [sys.executable, "-m", "tests.support.verl_ranks", str(file)]
        processes.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT))
        log.close()
    codes = [process.wait() for process in processes]
    logs = [plan.output.with_suffix(f".{rank}.log").read_text()[-3000:] for rank in range(ranks)]
    assert codes == [0] * ranks, "\n".join(logs)
    return dict(torch.load(plan.output, weights_only=True))


def carry_out(plan: Plan) -> dict[str, Any]:
    """The plan on this rank of however many there are."""
    from mentor_trainer.config import make_spec
    from tests.support.training import spec_values
    from tests.support.verl_step import Actor, batch_of, plain_model, whole

    ranks = int(os.environ["WORLD_SIZE"])
    spec = make_spec(spec_values(plan.folder, model=str(plan.model), n_gpus_per_node=ranks, **plan.values))
    actor = Actor(spec, plan.folder)
    if plan.load:
        actor.worker.load_checkpoint(str(plan.load))
    gradients = []
    for step in range(plan.first, plan.last + 1):
        samples = batch_of(plain_model(plan.model), spec.train_batch_size, spec.rollouts, seed=step)
        gradients.append(actor.update(samples))
        if plan.save and step == plan.save_after:
            actor.worker.save_checkpoint(str(plan.save), global_step=step)
    weights = {name: whole(p).clone() for name, p in actor.engine.module.named_parameters()}
    return {"gradients": gradients, "weights": weights}


def main() -> None:
    """One rank."""
    plan = TypeAdapter(Plan).validate_python(json.loads(Path(sys.argv[1]).read_text()))
    result = carry_out(plan)
    if os.environ["RANK"] == "0":
        torch.save(result, plan.output)


if __name__ == "__main__":
    main()
