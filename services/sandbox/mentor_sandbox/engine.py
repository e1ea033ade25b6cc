"""The sandbox itself, behind both transports: admission, validation, the right zygote, metrics."""

from __future__ import annotations

import asyncio
import base64
import marshal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from mentor.errors import InfrastructureError, OverloadedError, UserError
from mentor.serving.admission import Admission
from mentor.tools.spec import ToolSpec
from mentor.tools.validation import argument_error
from mentor_sandbox.execution import Execution
from mentor_sandbox.metrics import SandboxMetrics
from mentor_sandbox.pool import Pool, kind_for
from mentor_sandbox.results import Call, CallResult, Status
from mentor_sandbox.scratch import ScratchRoot
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.walls import standing

log = structlog.get_logger("sandbox")
SEARCH_PLACEHOLDER = "<search-url-placeholder>"


class Sandbox:
    """Runs calls. ``tools`` are the registered ones."""

    def __init__(self, settings: SandboxSettings, tools: Sequence[ToolSpec], registry: CollectorRegistry) -> None:
        self.settings = settings
        self.tools = {tool.name: tool for tool in tools}
        self._compiled = {tool.name: _compiled(tool) for tool in tools}
        self._admission = Admission(settings.max_concurrency, settings.max_queue, settings.queue_timeout_s)
        self._pool = Pool(settings, registry)
        self._metrics = SandboxMetrics(registry, self._admission)
        self._walls = standing()
        self._scratch: ScratchRoot | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start the zygotes; on leaving, kill what runs and remove all scratch."""
        self._scratch = ScratchRoot(self.settings.scratch_root)
        log.info("walls", **self._walls)
        try:
            await self._pool.start()
            yield
        finally:
            self._pool.stop()
            self._scratch.remove()

    async def call(self, call: Call) -> CallResult:
        """Run one call.

        Raises:
            UserError: the call's form or time limit is not acceptable.
            OverloadedError, DeadlineError: the queue is full, or the caller's deadline passed in it.
            InfrastructureError: the call was lost; run it again.
        """
        timeout_s = self._timeout(call)
        refused = self._refusal(call)
        started = time.perf_counter()
        if refused is None:
            try:
                async with self._admission.slot():
                    result = await self._execute(call, timeout_s)
            except OverloadedError:
                self._metrics.refused.inc()
                raise
            except InfrastructureError:
                self._metrics.count(call.lane, self._label(call), Status.INFRASTRUCTURE, None)
                raise
        else:
            result = refused
        seconds = time.perf_counter() - started
        self._metrics.count(call.lane, self._label(call), result.status, seconds)
        return replace(result, duration_ms=round(seconds * 1000, 3))

    async def batch(self, calls: Sequence[Call]) -> list[CallResult]:
        """Run many calls at once; a lost one has status ``infrastructure``, the others stand.

        Raises:
            UserError: no calls, too many, or one of them is not acceptable.
            OverloadedError: there is no room for all of them.
        """
        most = min(self.settings.max_batch, self.settings.max_concurrency + self.settings.max_queue)
        if not 1 <= len(calls) <= most:
            raise UserError(f"a batch has 1 to {most} calls, got {len(calls)}", field="calls", allowed=f"1 to {most}")
        for call in calls:
            self._timeout(call)
        try:
            self._admission.check(len(calls))
        except OverloadedError:
            self._metrics.refused.inc(len(calls))
            raise
        return list(await asyncio.gather(*(self._in_batch(call) for call in calls)))

    async def _in_batch(self, call: Call) -> CallResult:
        try:
            return await self.call(call)
        except InfrastructureError as error:
            return CallResult(Status.INFRASTRUCTURE, error_type=error.code, error_message=error.message)

    async def _execute(self, call: Call, timeout_s: float) -> CallResult:
        if self._scratch is None:
            raise InfrastructureError("the sandbox is starting")
        source = self._source(call)
        zygote = await self._pool.get(kind_for(source))
        request: dict[str, Any] = {
            "code": self._compiled.get(call.tool or ""),
            "source": source,
            "function": call.tool or call.function,
            "arguments": call.arguments,
            "expression": call.expression,
        }
        return await Execution(zygote, self.settings, self._scratch.path).run(request, timeout_s)

    def _source(self, call: Call) -> str:
        if call.tool is not None:
            return self.tools[call.tool].source or ""
        source = call.source or ""
        return source.replace(SEARCH_PLACEHOLDER, self.settings.search_url) if self.settings.search_url else source

    def _refusal(self, call: Call) -> CallResult | None:
        """The result of a registered call that is not worth a process."""
        if call.tool is None:
            return None
        tool = self.tools.get(call.tool)
        if tool is None:
            known = ", ".join(sorted(self.tools))
            message = f"unknown tool {call.tool!r}; registered: {known}"
            return CallResult(Status.INVALID_CALL, error_type="unknown_tool", error_message=message)
        wrong = argument_error(tool, call.arguments)
        if wrong is not None:
            return CallResult(Status.INVALID_CALL, error_type="invalid_arguments", error_message=wrong)
        return None

    def _label(self, call: Call) -> str:
        return call.label if call.tool is None or call.tool in self.tools else "unknown"

    def _timeout(self, call: Call) -> float:
        tool = self.tools.get(call.tool or "")
        default = tool.timeout_s if tool else self.settings.default_timeout_s
        timeout_s = call.timeout_s or default
        most = self.settings.max_timeout_s
        if not 0 < timeout_s <= most:
            message = f"a time limit lies between 0 and {most:g} s, got {timeout_s:g}"
            raise UserError(message, field="timeout", allowed=f"0 to {most:g}")
        return timeout_s

    def ready(self) -> str | None:
        """Why calls cannot be taken now."""
        down = self._pool.down()
        if down:
            return f"no zygote of kind {', '.join(down)} is up"
        if not any(self._walls[name].startswith("on") for name in ("landlock",)):
            return f"calls are not isolated from one another: Landlock is {self._walls['landlock']}"
        return None

    def health(self) -> dict[str, Any]:
        """Walls and processes, for ``GET /health``."""
        zygotes = {
            kind: [{"pid": member.pid, "alive": member.alive, "calls": member.load} for member in members]
            for kind, members in self._pool.members().items()
        }
        return {"walls": self._walls, "zygotes": zygotes, "queue": self._admission.waiting}


def _compiled(tool: ToolSpec) -> str:
    """A registered tool's code, compiled once; the call only unmarshals it (same interpreter, same format)."""
    try:
        code = compile(tool.source or "", f"<{tool.name}>", "exec")
    except (SyntaxError, ValueError) as error:
        raise UserError(f"the source of tool {tool.name} does not compile: {error}", field=tool.name) from None
    return base64.b64encode(marshal.dumps(code)).decode("ascii")
