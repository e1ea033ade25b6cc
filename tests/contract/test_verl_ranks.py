"""Two ranks equal one, and a checkpoint of two is taken up by one. ``tests/proofs/test_trainer_ranks.py`` has more of both."""

from __future__ import annotations

from tests.support import verl_cpu  # noqa: F401  isort: skip  (before anything of verl)

from pathlib import Path
from typing import Any

import pytest

from tests.support.training import write_set
from tests.support.verl_ranks import Plan, carry_out, run
from tests.support.verl_step import apart, single_process_group, tiny_model

VALUES = {"train_batch_size": 4, "mini_batch_size": 2, "rollouts": 4, "lr": 1e-3, "use_kl": True, "micro_batch_size": 2}


class Both:
    """Three steps on two ranks, which save after the first; the same on one; and on one from the two ranks' checkpoint."""

    def __init__(self, folder: Path) -> None:
        write_set(folder)
        plan = Plan(folder=folder, model=tiny_model(folder / "model"), output=folder / "two.pt", values=VALUES)
        self.saved = folder / "checkpoint"
        self.two = run(plan.model_copy(update={"save": self.saved}), ranks=2)
        single_process_group()
        self.one = carry_out(plan)
        self.resumed = carry_out(plan.model_copy(update={"first": 2, "load": self.saved}))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("ranks"))


def flat(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Gradients of all mini-batches of all steps."""
    return [gradient for step in result["gradients"] for gradient in step]


def test_the_first_gradient_is_that_of_one_rank(both: Both) -> None:
    assert apart(flat(both.one)[0], flat(both.two)[0]) < 1e-5


def test_mini_batches_are_the_same_ones(both: Both) -> None:
    assert len(flat(both.one)) == len(flat(both.two)) == 6
    assert max(apart(one, two) for one, two in zip(flat(both.one), flat(both.two), strict=True)) < 1e-3


def test_after_three_steps_the_weights_are_those_of_one_rank(both: Both) -> None:
    assert apart(both.one["weights"], both.two["weights"]) < 1e-4


def test_every_rank_saved_its_part(both: Both) -> None:
    names = {path.name for path in both.saved.glob("*.pt")}
    assert names == {f"{kind}_world_size_2_rank_{r}.pt" for kind in ("model", "optim", "extra_state") for r in (0, 1)}


def test_one_rank_goes_on_from_the_checkpoint_of_two(both: Both) -> None:
    assert apart(flat(both.two)[2], flat(both.resumed)[0]) < 1e-5
    assert apart(both.two["weights"], both.resumed["weights"]) < 1e-4
