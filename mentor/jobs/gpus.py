"""GPUs that several services share: a job takes devices by lease and waits while there are too few.

A device belongs to a job for as long as the job runs; what a dead job held is free again once the job is no longer
running, so nobody has to give anything back for it.
"""

from __future__ import annotations

from typing import Any

import redis

from mentor.errors import UserError
from mentor.jobs.connection import unreachable
from mentor.jobs.store import JobStore

# KEYS[1] the hash device -> job. ARGV: devices on the machine, devices wanted, job id, prefix of job keys.
_ACQUIRE = """
local held, free = {}, {}
for i = 0, tonumber(ARGV[1]) - 1 do
  local owner = redis.call('HGET', KEYS[1], i)
  if owner == ARGV[3] then table.insert(held, i)
  elseif not owner or redis.call('HGET', ARGV[4] .. owner, 'state') ~= 'running' then table.insert(free, i) end
end
if #held >= tonumber(ARGV[2]) then return held end
if #held + #free < tonumber(ARGV[2]) then return {} end
for _, i in ipairs(free) do
  if #held < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], i, ARGV[3]); table.insert(held, i) end
end
return held
"""
_RELEASE = """
for _, i in ipairs(redis.call('HKEYS', KEYS[1])) do
  if redis.call('HGET', KEYS[1], i) == ARGV[1] then redis.call('HDEL', KEYS[1], i) end
end
return 1
"""


def gpus_wanted(spec: dict[str, Any]) -> int:
    """Devices that a job of this spec takes on the machine of its worker: none on the CPU, or in a Ray cluster."""
    if spec.get("device") == "cpu" or spec.get("ray_address"):
        return 0
    return max(int(spec.get("n_gpus_per_node") or spec.get("gpus") or 0), _shared_by_a_model(spec))


def _shared_by_a_model(spec: dict[str, Any]) -> int:
    """The most devices that the servers of one of the job's models take (``ServeSpec.devices``)."""
    evaluated = spec.get("models")
    inner = [entry.get("model") for entry in evaluated if isinstance(entry, dict)] if evaluated else []
    serves = [model.get("serve") for model in (spec.get("model"), *inner) if isinstance(model, dict)]
    each = (int(s.get("tensor_parallel") or 0) * int(s.get("replicas") or 1) for s in serves if isinstance(s, dict))
    return max(each, default=0)


class GpuLeases:
    """Leases over ``count`` devices of one machine."""

    def __init__(self, store: JobStore, count: int) -> None:
        self.count = count
        self._redis = store.redis
        self._key = f"{store.prefix}:gpus"
        self._jobs = f"{store.prefix}:job:"

    def acquire(self, job_id: str, wanted: int) -> list[int] | None:
        """Device numbers, or None while too few are free.

        Raises:
            UserError: more are wanted than there are.
            InfrastructureError: Redis cannot be reached.
        """
        if wanted > self.count:
            raise UserError(f"{wanted} GPUs wanted", field="n_gpus_per_node", allowed=f"at most {self.count}")
        devices = self._eval(_ACQUIRE, self.count, wanted, job_id, self._jobs)
        return sorted(int(d) for d in devices) or None

    def release(self, job_id: str) -> None:
        """Free what the job holds; raises ``InfrastructureError``."""
        if self.count:
            self._eval(_RELEASE, job_id)

    def _eval(self, script: str, *arguments: str | int) -> Any:
        try:
            return self._redis.eval(script, 1, self._key, *arguments)
        except redis.RedisError as error:
            raise unreachable(error) from error
