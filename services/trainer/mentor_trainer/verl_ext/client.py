"""verl's rollout servers as a ``TokenClient``."""

from __future__ import annotations

import asyncio
from typing import Any

from mentor.errors import DeadlineError, InfrastructureError
from mentor.inference.base import Generation, SamplingParams


class VerlTokenClient:
    """One trajectory's view of verl's server manager (``LLMServerClient``).

    Args:
        manager: verl's client; balances load over the replicas.
        session: request id of the trajectory; all its turns go to the same replica, which has its prefix cached.
    """

    def __init__(self, manager: Any, session: str) -> None:
        self._manager = manager
        self._session = session
        self.versions: set[int] = set()
        """Weight versions (training steps) that the servers reported for this trajectory's turns."""

    async def generate(
        self, prompt_ids: list[int], params: SamplingParams, *, request_id: str, timeout_s: float
    ) -> Generation:
        """Continue ``prompt_ids``; see ``mentor.inference.base.TokenClient``."""
        request = self._manager.generate(self._session, prompt_ids=prompt_ids, sampling_params=sampling_dict(params))
        try:
            async with asyncio.timeout(timeout_s):
                output = await request
        except TimeoutError as error:
            raise DeadlineError(f"the rollout server did not answer within {timeout_s:g} s") from error
        except Exception as error:  # Ray wraps whatever the replica raised, and its own errors, in many types
            raise InfrastructureError(f"the rollout server failed: {_first_line(error)}") from error
        if (version := output.extra_fields.get("global_steps")) is not None:
            self.versions.add(int(version))
        return Generation(
            token_ids=tuple(output.token_ids),
            logprobs=None if output.log_probs is None else tuple(output.log_probs),
            finish_reason=finish_reason(output, params),
        )


def sampling_dict(params: SamplingParams) -> dict[str, Any]:
    """Parameters under the names that verl's vLLM, SGLang and local servers share."""
    sampling: dict[str, Any] = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "repetition_penalty": 1.0,
        "max_tokens": params.max_tokens,
        "stop_token_ids": list(params.stop_token_ids),
        "logprobs": True,
    }
    if params.seed is not None:
        sampling["seed"] = params.seed
    return sampling


def finish_reason(output: Any, params: SamplingParams) -> str:
    """``stop``, ``length`` or ``abort``. verl says ``completed`` both for a stop token and for a spent budget."""
    if output.stop_reason in ("aborted", "abort"):
        return "abort"
    ids = output.token_ids
    stopped = bool(ids) and ids[-1] in params.stop_token_ids
    return "stop" if stopped else "length"


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"
