"""A process of a run that is gone while its rollouts are waited for: found, in a real Ray."""

from __future__ import annotations

from tests.support import verl_cpu  # noqa: F401  isort: skip  (before anything of verl)

import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import ray

from mentor.errors import InfrastructureError
from mentor_trainer.verl_ext import watch as module
from mentor_trainer.verl_ext.patches import keep_ray_on_loopback
from mentor_trainer.verl_ext.watch import Watch


def start_ray(folder: str) -> None:
    """Again where it did not come up: Ray gives itself 30 s, which a machine that runs other tests may not have for it."""
    for attempt in range(3):
        try:
            ray.init(
                address="local", num_cpus=2, include_dashboard=False, _temp_dir=folder, _node_ip_address="127.0.0.1"
            )
            return
        except Exception as error:
            ray.shutdown()
            if "timed out during startup" not in str(error) or attempt == 2:
                raise


@pytest.fixture
def actors(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Two actors of a Ray of this test's own; what is watched is looked at on every call."""
    monkeypatch.setattr(module, "_SECONDS", 0.0)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    from ray._private import services

    monkeypatch.setattr(services, "resolve_ip_for_localhost", services.resolve_ip_for_localhost)  # put back afterwards
    keep_ray_on_loopback()
    folder = tempfile.mkdtemp(prefix="mwatch-")
    start_ray(folder)

    class Idle:
        def ready(self) -> bool:
            return True

    try:
        found = [ray.remote(Idle).options(num_cpus=0).remote() for _ in range(2)]
        assert ray.get([actor.ready.remote() for actor in found]) == [True, True]
        yield found
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_process_that_is_gone_ends_the_wait_and_one_that_lives_does_not(actors: list[Any]) -> None:
    watch = Watch(lambda: actors)
    watch()
    ray.kill(actors[1])
    with pytest.raises(InfrastructureError, match="a process of the run was lost"):
        for _ in range(20):
            watch()
