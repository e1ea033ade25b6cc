"""The trainer's side: pushes full weights to the replica's server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import ray
import torch
from verl.workers.rollout.base import BaseRollout

from mentor_trainer.verl_ext.rollout_local.replica import server_name


class LocalAdapter(BaseRollout):  # type: ignore[misc]
    """Lives in the training worker. One rank per replica: no tensor parallelism on a CPU."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int = -1, **_: Any) -> None:
        super().__init__(config, model_config, device_mesh)
        self.replica_rank = int(os.environ["RANK"]) if replica_rank == -1 else replica_rank
        self.is_leader_rank = True
        self._server: Any = None

    async def resume(self, tags: list[str]) -> None:
        return None

    async def release(self) -> None:
        return None

    async def update_weights(
        self, weights: Any, wire_format: str = "named_tensors", global_steps: int | None = None, **_: Any
    ) -> None:
        """Send every parameter in float32.

        Raises:
            ValueError: verl asks for a wire format other than whole tensors.
        """
        if wire_format != "named_tensors":
            raise ValueError(f"the local rollout takes whole tensors only, not {wire_format}")
        if self._server is None:
            self._server = ray.get_actor(server_name(self.replica_rank))
        tensors = {name: tensor.detach().to("cpu", torch.float32) async for name, tensor in _each(weights)}
        await self._server.load_weights.remote(tensors, global_steps)


async def _each(weights: Any) -> AsyncIterator[tuple[str, torch.Tensor]]:
    if hasattr(weights, "__aiter__"):
        async for item in weights:
            yield item
    else:
        for item in weights:
            yield item
