"""The server side: one engine per replica."""

from __future__ import annotations

import os
from typing import Any

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from verl.workers.rollout.replica import RolloutReplica, TokenOutput

from mentor.errors import MentorError
from mentor.inference.base import SamplingParams


def server_name(replica_rank: int) -> str:
    """Name under which the trainer's side finds the server actor."""
    return f"mentor_local_server_{replica_rank}"


class LocalServer:
    """A Ray actor around ``LocalEngine``, speaking verl's token-in/token-out interface."""

    def __init__(self, model_path: str, max_batch: int, max_queue: int, device: str = "cpu") -> None:
        from mentor.inference.local.engine import LocalEngine

        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        kept = {"prefix_cache_mb": 0} if max_batch == 1 else {}  # deterministic: nothing hangs on what was asked before
        self._engine = LocalEngine(
            model_path, max_batch=max_batch, max_queue=max_queue, threads=threads, device=device, **kept
        )
        self._version: int | None = None

    async def ready(self) -> bool:
        """Answers once the model is loaded."""
        return True

    async def generate(
        self, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        """Continue a prompt; ``stop_reason`` is ``completed`` or ``aborted``, as verl's other servers say."""
        params = SamplingParams(
            temperature=float(sampling_params.get("temperature", 1.0)),
            top_p=float(sampling_params.get("top_p", 1.0)),
            top_k=int(sampling_params.get("top_k", -1)),
            max_tokens=int(sampling_params.get("max_tokens") or sampling_params["max_new_tokens"]),
            seed=sampling_params.get("seed"),
            stop_token_ids=tuple(sampling_params.get("stop_token_ids") or ()),
        )
        generation = await self._engine.generate(prompt_ids, params, request_id=request_id)
        return TokenOutput(
            token_ids=list(generation.token_ids),
            log_probs=list(generation.logprobs or ()),
            stop_reason="aborted" if generation.finish_reason == "abort" else "completed",
            extra_fields={"global_steps": self._version},
        )

    async def load_weights(self, tensors: dict[str, torch.Tensor], version: int | None) -> int:
        """Take the trainer's weights. ``version`` is the training step they come from."""
        own = self._engine.model.state_dict()
        # A tied output layer arrives under the input embedding's name only, or under both.
        count = await self._engine.load_weights((name, tensor) for name, tensor in tensors.items() if name in own)
        missing = [name for name in self._parameters() if name not in tensors]
        if missing:
            raise MentorError(f"the trainer sent no weights for {missing[0]} and {len(missing) - 1} more")
        self._version = version
        return count

    def _parameters(self) -> list[str]:
        return [name for name, _ in self._engine.model.named_parameters()]

    async def busy_seconds(self) -> float:
        """Time in forward passes since the start."""
        return self._engine.stats().busy_seconds

    async def resume_generation(self) -> None:
        await self._engine.resume()

    async def abort_all_requests(self, reject_request: bool = False) -> None:
        await self._engine.pause()

    # Memory is not handed back and forth between engine and trainer.
    async def wake_up(self) -> None: ...
    async def sleep(self) -> None: ...
    async def clear_kv_cache(self) -> None: ...
    async def release_kv_cache(self) -> None: ...
    async def resume_kv_cache(self) -> None: ...
    async def start_profile(self, **_: Any) -> None: ...
    async def stop_profile(self) -> None: ...


def start_server(replica_rank: int, model_path: str, max_num_seqs: int, node: str | None = None) -> Any:
    """The replica's server actor on a node (None: this one): started here, or the one that was started before.

    The trainer of a private Ray asks for it before it starts its own workers, so that both load at the same time.
    """
    concurrency = max(1000, max_num_seqs)
    device, environment = device_of(replica_rank)
    node = node or ray.get_runtime_context().get_node_id()
    return (
        ray.remote(LocalServer)
        .options(
            name=server_name(replica_rank),
            get_if_exists=True,
            num_cpus=0,
            max_concurrency=concurrency,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=True),
            runtime_env={"env_vars": environment} if environment else None,
        )
        .remote(model_path, max_num_seqs, concurrency, device)
    )


def device_of(replica_rank: int) -> tuple[str, dict[str, str]]:
    """Where a replica's model is, and what its process has to be told: a GPU is shared with the rank that feeds it.

    Ray hides all GPUs from an actor that asks for none, and the rank holds the only share that there is to ask for.
    """
    if os.environ.get("VERL_PLATFORM") == "cpu":
        return "cpu", {}
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    mine = seen[replica_rank % len(seen)] if seen else str(replica_rank)
    return "cuda:0", {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "CUDA_VISIBLE_DEVICES": mine}


def _node_of(_: Any) -> str:
    return str(ray.get_runtime_context().get_node_id())


class LocalReplica(RolloutReplica):  # type: ignore[misc]
    """Takes its server up once verl has started the trainer's side, on the node of the rank that feeds it."""

    async def launch_servers(self) -> None:
        path = self.model_config.path if hasattr(self.model_config, "path") else self.model_config["path"]
        node = await self.workers[0].__ray_call__.remote(_node_of)
        server = start_server(self.replica_rank, path, self.config.max_num_seqs, node)
        await server.ready.remote()
        self.servers = [server]
        self._server_handle = server
        self._server_address = server_name(self.replica_rank)
