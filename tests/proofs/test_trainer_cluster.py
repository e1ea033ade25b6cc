"""Training on a real Ray cluster of two nodes, one of which is lost in the middle. ``make trainer-proof``.

A job server, a head and two raylets with a logical GPU each; the training job goes to ``ray_address`` as the cluster overlay
has it. The folders lie on the disk that all share.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mentor.errors import InfrastructureError
from mentor_trainer.config import make_spec
from mentor_trainer.events import TrainEvent
from mentor_trainer.run import run_training
from tests.support.ray_cluster import Cluster, running_cluster
from tests.support.service_process import ServiceProcess, running_process
from tests.support.training import spec_values, write_set

STEPS = 6


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    with running_process("mentor_sandbox") as service:
        yield service


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster(2) as found:
        yield found


def test_a_node_is_lost_in_the_middle_and_the_next_attempt_ends_well(
    cluster: Cluster, sandbox: ServiceProcess, tmp_path: Path
) -> None:
    write_set(tmp_path)
    values = spec_values(
        tmp_path, sandbox_url=sandbox.grpc, total_steps=STEPS, save_freq=1, lr=3e-4, nnodes=2, n_gpus_per_node=1,
        ray_address=cluster.address,
    )  # fmt: skip
    spec = make_spec(values)
    before: list[TrainEvent] = []

    def lose_one(event: TrainEvent) -> None:
        before.append(event)
        if event.step == 2:
            cluster.kill(cluster.nodes[2])

    with pytest.raises(InfrastructureError) as lost:
        run_training(spec, tmp_path / "a1", lose_one)
    print(f"\nafter step {before[-1].step}: {lost.value}")
    cluster.add_node()
    after: list[TrainEvent] = []
    result = run_training(spec, tmp_path / "a2", after.append)
    assert result.step == STEPS and result.model is not None and not result.stopped
    assert [event.step for event in after] == list(range(after[0].step, STEPS + 1)) and after[0].step > 1
    saved = tmp_path / "out" / "checkpoints" / f"global_step_{STEPS}" / "actor"
    assert len(list(saved.glob("model_world_size_2_rank_*.pt"))) == 2, "a rank on each node saved its part"


def test_what_is_left_of_the_cluster_goes_on_with_one_rank(
    cluster: Cluster, sandbox: ServiceProcess, tmp_path: Path
) -> None:
    """No node comes back: the same run with ``nnodes: 1`` takes up the checkpoint of two."""
    write_set(tmp_path)
    values = spec_values(
        tmp_path, sandbox_url=sandbox.grpc, total_steps=2, save_freq=1, nnodes=2, n_gpus_per_node=1,
        ray_address=cluster.address,
    )  # fmt: skip
    run_training(make_spec(values), tmp_path / "a1", lambda _: None)
    events: list[TrainEvent] = []
    result = run_training(make_spec({**values, "nnodes": 1, "total_steps": 4}), tmp_path / "a2", events.append)
    assert [event.step for event in events] == [3, 4] and result.step == 4
