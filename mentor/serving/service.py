"""What a service is made of. One implementation stands behind both transports; this says where each is bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Gauge

from mentor.rpc.principal import Role
from mentor.serving.access import Door
from mentor.serving.metrics import RequestMetrics, new_registry
from mentor.serving.settings import ServiceSettings
from mentor.serving.vitals import Vitals

Check = Callable[[], str | None]
"""None if all is well, else the reason why the service is not ready, one line."""


@dataclass(frozen=True)
class RestBinding:
    """REST routes, and the role that each of them asks for."""

    router: APIRouter
    role: Role


@dataclass(frozen=True)
class RpcBinding:
    """A gRPC servicer: the generated ``add_X_to_server``, the object, the service's full name, and the role it asks for."""

    add: Callable[[Any, grpc.aio.Server], None]
    servicer: Any
    full_name: str
    role: Role


class Readiness:
    """Why the service cannot take work right now. Empty means ready."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)
        self.started = False
        self.draining = False

    def reasons(self) -> dict[str, str]:
        """Name of each failing check and its reason."""
        if self.draining:
            return {"draining": "the service is shutting down"}
        if not self.started:
            return {"starting": "the service is starting"}
        found = {name: check() for name, check in self._checks.items()}
        return {name: reason for name, reason in found.items() if reason is not None}


@asynccontextmanager
async def no_lifespan() -> AsyncIterator[None]:
    """For a service that has nothing to start or stop."""
    yield


@dataclass
class Service:
    """A service before it listens.

    ``lifespan`` starts and stops what it owns, ``checks`` decide readiness, ``health`` adds fields to ``GET /health``,
    ``vitals`` watches the threads that it cannot do without. ``middleware`` (classes and their arguments) stands before the
    door, the last outermost.
    ``admin_routers`` ask for the role ``operate``; they listen on the admin port where there is one. ``loop_factory`` makes the
    event loop it runs in; None: asyncio's own.
    """

    name: str
    settings: ServiceSettings
    routers: Sequence[RestBinding] = ()
    admin_routers: Sequence[APIRouter] = ()
    rpcs: Sequence[RpcBinding] = ()
    lifespan: Callable[[], AbstractAsyncContextManager[None]] = no_lifespan
    checks: Mapping[str, Check] = field(default_factory=dict)
    health: Callable[[], dict[str, Any]] = dict
    registry: CollectorRegistry = field(default_factory=new_registry)
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    middleware: Sequence[tuple[type, Mapping[str, Any]]] = ()

    def __post_init__(self) -> None:
        self.metrics = RequestMetrics(self.registry)
        self.door = Door.of(self.settings)
        self.vitals = Vitals(self.registry)
        self.readiness = Readiness({**self.checks, "threads": self.vitals.check})
        ready = Gauge("mentor_ready", "1 if the service takes work.", registry=self.registry)
        ready.set_function(lambda: float(not self.readiness.reasons()))
