"""Whether everything that rollouts need is alive: verl waits for ever for those of a process that is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import ray

from mentor.errors import InfrastructureError

_SECONDS = 5.0


class Watch:
    """Looks every few seconds, however often it is called.

    Args:
        actors: Ray actors that must be alive.
    """

    def __init__(self, actors: Callable[[], Sequence[Any]]) -> None:
        self._actors = actors
        self._looked = time.monotonic()

    def __call__(self) -> None:
        """Raise if an actor is gone, with its process or the node that it was on.

        Raises:
            InfrastructureError: with Ray's words.
        """
        if time.monotonic() - self._looked < _SECONDS:
            return
        self._looked = time.monotonic()
        # An actor that lives answers between two of its tasks, or later; one that is dead at once.
        found = [actor.__ray_ready__.remote() for actor in self._actors()]
        ready, _ = ray.wait(found, num_returns=len(found), timeout=0.5)
        try:
            ray.get(ready)
        except ray.exceptions.RayActorError as error:
            raise InfrastructureError(f"a process of the run was lost: {' '.join(str(error).split())[:300]}") from error
