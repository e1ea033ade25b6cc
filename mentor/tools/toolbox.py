"""The tools of questions, bound to one process's sandbox and retriever: for the agent loop of whoever asks."""

from __future__ import annotations

from mentor.rpc.retry import RetryPolicy
from mentor.tools.executor import ToolExecutor, Toolset
from mentor.tools.executor_retriever import RetrieverExecutor
from mentor.tools.executor_sandbox import SandboxExecutor
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Question


class ToolBox:
    """One executor per service, shared by every question of a process; close it when done.

    Args:
        registry: which tools there are.
        sandbox: ``host:port`` (gRPC) or URL (REST) of the sandbox; None leaves its tools without an executor.
        retriever: likewise of the retriever.
        retry: how long, and how often, a call is tried again while its service is away.
    """

    def __init__(self, registry: ToolRegistry, sandbox: str | None, retriever: str | None, retry: RetryPolicy) -> None:
        self.registry = registry
        self._executors: dict[str, ToolExecutor] = {}
        if sandbox:
            self._executors["sandbox"] = SandboxExecutor(sandbox, retry)
        if retriever:
            self._executors["retriever"] = RetrieverExecutor(retriever, retry)

    def toolset(self, question: Question) -> Toolset:
        """The tools that a question offers.

        Raises:
            UserError: it names an unknown tool, or one whose service this process was not given.
        """
        return Toolset(self.registry.for_question(question), self._executors)

    async def close(self) -> None:
        """Let go of the services."""
        for executor in self._executors.values():
            await executor.close()
