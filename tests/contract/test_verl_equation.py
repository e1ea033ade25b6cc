"""The optimisation is the equation's: verl's loss and gradient against Eq. 3 in plain torch, for every switch.

Both see the same random model of 60,000 parameters and the same 12 trajectories of four questions, with observations,
padding and unequal lengths. Errors are relative to the norm of the gradient of all weights.
"""

from __future__ import annotations

from tests.support import verl_cpu  # noqa: F401  isort: skip  (before anything of verl)

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mentor_trainer.config import TrainSpec, make_spec
from mentor_trainer.verl_ext import engine
from mentor_trainer.verl_ext.on_policy import drop_idle_correction, updated_once
from mentor_trainer.verl_ext.shared_prompts import Shared, share
from tests.support.grpo_equation import Equation, Sample, advantages, log_probabilities, lose, loss_of, without_lost
from tests.support.training import spec_values, write_set
from tests.support.verl_step import (
    Actor,
    Gradients,
    apart,
    batch_of,
    compose_config,
    plain_model,
    single_process_group,
    tiny_model,
)

TOLERANCE = 1e-5
LR, EPSILON = 1e-3, 1e-2
"""AdamW's epsilon is large: with the usual one its first step is the gradient's sign, of rounding errors too."""
ROLLOUTS, GROUPS = 3, 4


class World:
    """One actor for all tests, and the model that it starts from."""

    def __init__(self, folder: Path) -> None:
        write_set(folder)
        self.folder, self.path = folder, tiny_model(folder / "model")
        single_process_group()
        self.actor = Actor(self.spec(Equation()), folder)
        self._samples: dict[float, list[Sample]] = {}

    def samples(self, temperature: float = 1.0) -> list[Sample]:
        """Drawn at a temperature."""
        if temperature not in self._samples:
            self._samples[temperature] = batch_of(self.model(), GROUPS, ROLLOUTS, temperature=temperature)
        return self._samples[temperature]

    def model(self) -> Any:
        return plain_model(self.path)

    def spec(self, equation: Equation, mini_batches: int = 1) -> TrainSpec:
        fields = {name: getattr(equation, name) for name in Equation.__dataclass_fields__}
        fields |= {"micro_batch_size": 3, "mini_batch_size": GROUPS // mini_batches, "max_prompt_length": 64}
        fields |= {
            "rollouts": ROLLOUTS,
            "train_batch_size": GROUPS,
            "lr": LR,
            "grad_clip": 1e6,
            "model": str(self.path),
        }
        epsilon = f"actor_rollout_ref.actor.optim.override_optimizer_config={{eps:{EPSILON}}}"
        return make_spec(spec_values(self.folder, **fields, overrides=[epsilon]))

    def verl(self, samples: Sequence[Sample], equation: Equation, mini_batches: int = 1) -> list[Gradients]:
        self.actor.configure(self.spec(equation, mini_batches))
        return self.actor.update(samples)

    def plain(self, samples: Sequence[Sample], equation: Equation, mini_batches: int = 1) -> list[Gradients]:
        """The same by hand; between mini-batches the step that AdamW takes."""
        model, found = self.model(), []
        optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.999), eps=EPSILON, weight_decay=0.01)
        advantage, size = advantages(samples, equation), len(samples) // mini_batches
        for start in range(0, len(samples), size):
            optimizer.zero_grad()
            part = slice(start, start + size)
            loss_of(model, samples[part], advantage[part], equation).backward()
            found.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
            optimizer.step()
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


AGGREGATIONS = ("seq-mean-token-mean", "token-mean", "seq-mean-token-sum-norm")
RATIOS = ("token", "sequence", "trajectory")
SWITCHES: dict[str, dict[str, Any]] = {
    "paper": {},
    "published_code": {"loss_aggregation": "token-mean", "entropy_coef": 0.001, "dual_clip": 3.0},
    "dr_grpo": {"norm_by_std": False, "loss_aggregation": "seq-mean-token-sum-norm", "use_kl": False},
    "clip_higher": {"clip_ratio_high": 0.28},
    "no_kl": {"use_kl": False},
    "large_kl": {"kl_coef": 1.0},
    "temperature": {"temperature": 0.6},
    "dual_clip": {"dual_clip": 1.1},
    "token_correction": {"rollout_correction": "token", "rollout_correction_limit": 1.2},
    "sequence_correction": {"rollout_correction": "sequence"},
}


@pytest.mark.parametrize("mini_batches", [1, 2])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_aggregation_and_ratio_has_the_gradient_of_its_equation(
    world: World, ratio: str, aggregation: str, mini_batches: int
) -> None:
    equation = Equation(importance_ratio=ratio, loss_aggregation=aggregation, clip_ratio_high=0.3)
    samples = lose(world.samples(), [2, 9])
    for got, expected in zip(
        world.verl(samples, equation, mini_batches), world.plain(samples, equation, mini_batches), strict=True
    ):
        assert apart(expected, got) < TOLERANCE


@pytest.mark.parametrize("mini_batches", [1, 2])
@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_has_the_gradient_of_its_equation(world: World, switch: str, mini_batches: int) -> None:
    equation = Equation(**SWITCHES[switch])
    samples = lose(world.samples(equation.temperature), [5])
    for got, expected in zip(
        world.verl(samples, equation, mini_batches), world.plain(samples, equation, mini_batches), strict=True
    ):
        assert apart(expected, got) < TOLERANCE


@pytest.mark.parametrize("switch", [s for s in SWITCHES if s != "paper"])
def test_every_switch_changes_the_gradient(world: World, switch: str) -> None:
    """Or the test above could not tell them apart."""
    changed = world.plain(world.samples(), Equation(**SWITCHES[switch]))[0]
    assert apart(world.plain(world.samples(), Equation())[0], changed) > 10 * TOLERANCE


@pytest.mark.parametrize("lost", [[3], [0, 1, 7, 10], [3, 4, 5]])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_lost_sample_leaves_the_gradient_of_the_rest_unchanged(
    world: World, aggregation: str, lost: list[int]
) -> None:
    """The divisor of the batch included: what is left takes a step as large as if the rest had never been asked for."""
    equation = Equation(loss_aggregation=aggregation)
    samples = lose(world.samples(), lost)
    (got,) = world.verl(samples, equation)
    (expected,) = world.plain(without_lost(samples), equation)
    assert apart(expected, got) < TOLERANCE


def test_a_mini_batch_that_was_lost_whole_changes_neither_weights_nor_moments(world: World) -> None:
    samples = lose(world.samples(), range(6))
    gradients = world.verl(samples, Equation(loss_aggregation="token-mean"), mini_batches=2)
    assert len(gradients) == 2
    (expected,) = world.plain(samples[6:], Equation(loss_aggregation="token-mean"))
    assert apart(expected, gradients[1]) < TOLERANCE
    steps = {int(state["step"]) for state in world.actor.engine.optimizer.state.values()}
    assert steps == {1}


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("switch", ["paper", "published_code", "temperature"])
def test_rows_without_old_probabilities_take_those_of_the_update(world: World, switch: str, ratio: str) -> None:
    equation = Equation(**{"importance_ratio": ratio, **SWITCHES[switch]})
    model, temperature = world.model(), equation.temperature
    drawn = [
        replace(s, old=log_probabilities(model, s.prompt, s.response, temperature)) for s in world.samples(temperature)
    ]
    given = lose(drawn, [5])
    own = [replace(s, old=None) for s in given]
    (expected,), (got,) = world.verl(given, equation), world.verl(own, equation)
    assert apart(expected, got) < TOLERANCE
    assert apart(world.plain(own, equation)[0], got) < TOLERANCE


def test_the_update_measures_entropy_and_the_gap_to_the_engine_where_it_takes_its_own_probabilities(
    world: World,
) -> None:
    model = world.model()
    samples = [replace(s, old=None) for s in lose(world.samples(), [5])]
    world.verl(samples, Equation())
    entropies, gaps = [], []
    for s in without_lost(samples):
        own = torch.tensor(s.mask, dtype=torch.bool)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([s.prompt + s.response])).logits[0, len(s.prompt) - 1 : -1]
        every = torch.log_softmax(logits.float(), -1)
        entropies.append(-(every.exp() * every).sum(-1)[own].mean())
        probability = every.gather(-1, torch.tensor(s.response)[:, None])[:, 0].exp()
        gaps.append((probability - s.engine.exp()).abs()[own])
    metrics = world.actor.metrics
    assert metrics["actor/entropy"] == pytest.approx(float(torch.stack(entropies).mean()), rel=1e-5)
    assert metrics["training/rollout_probs_diff_max"] == pytest.approx(float(torch.cat(gaps).max()), rel=1e-5)
    assert metrics["training/rollout_probs_diff_mean"] == pytest.approx(float(torch.cat(gaps).mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("once", "values"),
    [
        (True, {}),
        (True, {"use_kl": False}),
        (False, {"mini_batch_size": 2}),
        (False, {"rollout_correction": "token"}),
        (False, {"overrides": ["actor_rollout_ref.actor.ppo_epochs=2"]}),
        (False, {"overrides": ["algorithm.use_kl_in_reward=true"]}),
    ],
)
def test_old_probabilities_have_a_pass_of_their_own_where_rows_are_updated_twice_or_others_read_them(
    tmp_path: Path, once: bool, values: dict[str, Any]
) -> None:
    write_set(tmp_path)
    spec = make_spec(spec_values(tmp_path, **{"train_batch_size": 4, "mini_batch_size": 4, "rollouts": 3, **values}))
    config = compose_config(spec, tmp_path)
    drop_idle_correction(config)
    assert updated_once(config, rows=12) is once
    assert not updated_once(config, rows=24)


def test_on_the_cpu_prompts_are_read_once_and_otherwise_the_gradient_is_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[int] = []

    def counting(data: Any, hidden: int) -> Shared:
        shares.append(len(data))
        return share(data, hidden)

    monkeypatch.setattr(engine, "share", counting)
    (shared,) = world.verl(world.samples(), Equation())
    assert sum(shares) == ROLLOUTS * GROUPS
    monkeypatch.setattr(engine, "can_share", lambda config: False)
    (apiece,) = world.verl(world.samples(), Equation())
    assert sum(shares) == ROLLOUTS * GROUPS
    assert apart(apiece, shared) < TOLERANCE


def test_the_loss_itself_is_the_equations(world: World) -> None:
    """verl reports it; gradients alone would not show a constant."""
    equation = Equation(kl_coef=0.5, clip_ratio_high=0.3)
    samples = lose(world.samples(), [2])
    world.verl(samples, equation)
    expected = loss_of(world.model(), samples, advantages(samples, equation), equation).item()
    assert world.actor.losses[-1] == pytest.approx(expected, rel=1e-5)


def test_micro_batches_do_not_change_the_gradient(world: World) -> None:
    equation = replace(Equation(), loss_aggregation="seq-mean-token-sum-norm")
    (three,) = world.verl(world.samples(), equation)
    before = world.actor.engine.engine_config.micro_batch_size_per_gpu
    world.actor.engine.engine_config.micro_batch_size_per_gpu = 12
    try:
        (twelve,) = world.verl(world.samples(), equation)
    finally:
        world.actor.engine.engine_config.micro_batch_size_per_gpu = before
    assert apart(three, twelve) < TOLERANCE
