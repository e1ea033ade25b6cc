"""One, two and four ranks train the same weights, and a checkpoint of two is taken up by one and by four.

Processes over gloo, each verl's actor as a run has it, on the same batches; no rollouts. ``make trainer-proof``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.training import write_set
from tests.support.verl_ranks import Plan, run
from tests.support.verl_step import apart, tiny_model

STEPS, SAVED = 5, 2
VALUES = {"train_batch_size": 4, "mini_batch_size": 2, "rollouts": 4, "lr": 1e-3, "use_kl": True, "micro_batch_size": 2}


class All:
    def __init__(self, folder: Path) -> None:
        write_set(folder)
        self.plan = Plan(
            folder=folder, model=tiny_model(folder / "model"), output=folder / "x", last=STEPS, values=VALUES
        )
        self.saved = folder / "checkpoint"
        self.runs: dict[int, dict[str, Any]] = {}
        for ranks in (1, 2, 4):
            plan = self.plan.model_copy(update={"output": folder / f"of{ranks}.pt"})
            if ranks == 2:
                plan = plan.model_copy(update={"save": self.saved, "save_after": SAVED})
            self.runs[ranks] = run(plan, ranks)

    def resumed(self, ranks: int) -> dict[str, Any]:
        output = self.plan.folder / f"resumed{ranks}.pt"
        return run(self.plan.model_copy(update={"output": output, "first": SAVED + 1, "load": self.saved}), ranks)


@pytest.fixture(scope="module")
def all_runs(tmp_path_factory: pytest.TempPathFactory) -> All:
    return All(tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("ranks", [2, 4])
def test_several_ranks_equal_one(all_runs: All, ranks: int) -> None:
    one, several = all_runs.runs[1], all_runs.runs[ranks]
    gradient = apart(one["gradients"][0][0], several["gradients"][0][0])
    weights = apart(one["weights"], several["weights"])
    print(f"\n{ranks} ranks against 1: first gradient {gradient:.1e}, weights after {STEPS} steps {weights:.1e}")
    assert gradient < 1e-5 and weights < 1e-4


@pytest.mark.parametrize("ranks", [1, 4])
def test_a_checkpoint_of_two_ranks_goes_on_as_if_nothing_had_happened(all_runs: All, ranks: int) -> None:
    two, resumed = all_runs.runs[2], all_runs.resumed(ranks)
    gradient = apart(two["gradients"][SAVED][0], resumed["gradients"][0][0])
    weights = apart(two["weights"], resumed["weights"])
    print(f"\n2 ranks, resumed on {ranks}: next gradient {gradient:.1e}, weights after {STEPS} steps {weights:.1e}")
    assert gradient < 1e-5 and weights < 1e-4
