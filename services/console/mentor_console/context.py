"""What every page is made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Request

from mentor_console.front.gate import session_of
from mentor_console.index.gather import Gatherer
from mentor_console.index.reading import Reading
from mentor_console.rendering import Renderer
from mentor_console.settings import ConsoleSettings
from mentor_console.upstream import Upstream


@dataclass(frozen=True)
class Console:
    """Settings, services, templates and the index of trajectories; one for the process."""

    settings: ConsoleSettings
    upstream: Upstream
    renderer: Renderer
    index: Reading
    gatherer: Gatherer

    async def json(self, request: Request, service: str, path: str, **options: Any) -> Any:
        """What a service answers to this page's reader."""
        return await self.upstream.json(session_of(request.scope).authorization, service, path, **options)
