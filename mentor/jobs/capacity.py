"""How many GPUs there are for a kind of jobs: workers say so in Redis, and who has gone is forgotten after a minute.

So a job that asks for more than any worker has is refused when it is submitted, by a service that need see no GPU itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from mentor.errors import UserError
from mentor.jobs.connection import unreachable
from mentor.jobs.gpus import gpus_wanted
from mentor.jobs.settings import JobSettings
from mentor.jobs.store import JobStore

DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"
_GOOD_FOR_SECONDS = 60
# KEYS[1] the hash worker -> "devices until". ARGV: worker, devices, seconds.
_SAY = """
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. (now + tonumber(ARGV[3])))
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
# Returns the most devices of any worker, or -1 if none is known; forgets those that have gone.
_MOST = """
local now, most, all = tonumber(redis.call('TIME')[1]), -1, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local devices, till = string.match(all[i + 1], '(%d+) (%d+)')
  if tonumber(till) < now then redis.call('HDEL', KEYS[1], all[i]) else most = math.max(most, tonumber(devices)) end
end
return most
"""


def visible_devices() -> list[str] | None:
    """Devices that this process may use, by CUDA's names; None where that cannot be told without a driver's library."""
    named = os.environ.get(DEVICES_VARIABLE)
    if named is not None:
        return [device.strip() for device in named.split(",") if device.strip() not in ("", "-1")]
    if Path("/dev/dxg").exists():  # Windows' subsystem for Linux shows no device files
        return None
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def visible_gpus() -> int | None:
    """How many they are."""
    devices = visible_devices()
    return None if devices is None else len(devices)


class Capacity:
    """What workers say of themselves."""

    def __init__(self, store: JobStore, settings: JobSettings) -> None:
        self._store = store
        self._settings = settings

    def say(self, worker: str, kinds: Iterable[str]) -> None:
        """To be called every few seconds by a worker of these kinds; raises ``InfrastructureError``."""
        gpus = self._settings.gpus or visible_gpus()
        for kind in kinds if gpus is not None else ():
            self._eval(_SAY, kind, worker, gpus or 0, _GOOD_FOR_SECONDS)

    def most(self, kind: str) -> int | None:
        """The most devices that a worker of this kind has; None if no worker is known."""
        found = int(self._eval(_MOST, kind))
        return found if found >= 0 else None

    def check(self, kind: str, spec: dict[str, Any]) -> None:
        """Refuse a spec that no worker could run.

        Raises:
            UserError: it asks for more GPUs than there are.
        """
        wanted = gpus_wanted(spec)
        if not wanted:
            return
        known, who = self.most(kind), f"no worker of kind {kind} has more"
        if known is None and self._settings.gpus:
            known, who = self._settings.gpus, "MENTOR_JOBS_GPUS says so; no worker is up"
        if known is not None and wanted > known:
            field = "n_gpus_per_node" if spec.get("n_gpus_per_node") else "gpus"
            raise UserError(f"{field}: {wanted} GPUs are asked for", field=field, allowed=f"at most {known} ({who})")

    def _eval(self, script: str, kind: str, *arguments: str | int) -> Any:
        try:
            return self._store.redis.eval(script, 1, f"{self._store.prefix}:capacity:{kind}", *arguments)
        except redis.RedisError as error:
            raise unreachable(error) from error
