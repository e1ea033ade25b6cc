"""Server. How the sandbox is: its walls, processes and queue, for ``/health``, ``/ready`` and the gauges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mentor_sandbox.metrics import SandboxMetrics
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.admission import Admission
from mentor_sandbox.supervise.lanes.mcp import McpLane
from mentor_sandbox.supervise.lanes.registered import RegisteredLane
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.walls.isolation import isolation, why_not


class Health:
    """Looks, and changes nothing."""

    def __init__(
        self,
        settings: SandboxSettings,
        walls: Mapping[str, str],
        pool: Pool,
        registered: RegisteredLane,
        remote: McpLane,
        admission: Admission,
    ) -> None:
        self._settings = settings
        self._walls = walls
        self._pool = pool
        self._registered = registered
        self._remote = remote
        self._admission = admission

    def add_gauges(self, metrics: SandboxMetrics) -> None:
        """Let ``metrics`` show it."""
        metrics.gauge("mentor_sandbox_queue_depth", "Calls waiting for a slot.", lambda: self._admission.waiting)
        running = "mentor_sandbox_calls_in_flight"
        metrics.gauge(running, "Calls running.", lambda: self._admission.running)
        metrics.states("mentor_sandbox_workers", "Warm workers.", ("kind", "state"), self._worker_states)
        metrics.states("mentor_sandbox_zygotes", "Zygotes.", ("kind", "state"), self._zygote_states)

    def _worker_states(self) -> dict[tuple[str, ...], int]:
        found: dict[tuple[str, ...], int] = {}
        for (kind, _), group in self._registered.groups.items():
            for worker in group.workers:
                state = "busy" if worker.assigned and worker.state == "ready" else worker.state
                key = (kind, "long" if worker.long else state)
                found[key] = found.get(key, 0) + 1
        return found

    def _zygote_states(self) -> dict[tuple[str, ...], int]:
        found: dict[tuple[str, ...], int] = {}
        for kind, members in self._pool.members().items():
            for member in members:
                key = (kind, "up" if member.alive else "down")
                found[key] = found.get(key, 0) + 1
        return found

    def ready(self) -> str | None:
        """Why calls cannot be taken now."""
        if (reason := why_not(self._walls, self._settings.lane)) is not None:
            return reason
        if down := self._pool.down():
            return f"no zygote of kind {', '.join(down)} is up"
        if (reason := self._pool.scratch_trouble) is not None:
            return reason
        if down := self._registered.down():
            return f"no worker of kind {', '.join(down)} is up"
        return None

    def health(self) -> dict[str, Any]:
        """Walls, what isolates calls, processes and queue, for ``GET /health``."""
        zygotes = {
            kind: [{"pid": member.pid, "alive": member.alive, "calls": member.load} for member in members]
            for kind, members in self._pool.members().items()
        }
        workers = [{"kind": kind, "state": state, "count": n} for (kind, state), n in self._worker_states().items()]
        return {
            "isolation": isolation(self._walls, self._settings.lane),
            "walls": self._walls,
            "zygotes": zygotes,
            "workers": workers,
            "queue": self._admission.waiting,
            "mcp_servers": self._remote.states(),
        }
