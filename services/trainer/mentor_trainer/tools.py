"""The tools of a question, bound to this run's sandbox and retriever."""

from __future__ import annotations

from mentor.rpc.retry import RetryPolicy
from mentor.tools.executor import ToolExecutor, Toolset
from mentor.tools.executor_retriever import RetrieverExecutor
from mentor.tools.executor_sandbox import SandboxExecutor
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Question


class ToolBox:
    """One executor per service, shared by every question of a process.

    Args:
        sandbox_url: ``host:port`` (gRPC) or URL (REST) of the sandbox; None leaves its tools without an executor.
        retriever_url: likewise of the retriever.
        default: names of the tools offered by questions that name none.
        wait_s: how long a call is retried while its service is away.
    """

    def __init__(
        self,
        sandbox_url: str | None,
        retriever_url: str | None,
        default: tuple[str, ...] | None = None,
        wait_s: float = 60.0,
    ) -> None:
        policy = RetryPolicy(deadline_s=max(1.0, wait_s))
        self.registry = ToolRegistry(search_url=retriever_url)
        self.default = default
        self._executors: dict[str, ToolExecutor] = {}
        if sandbox_url:
            self._executors["sandbox"] = SandboxExecutor(sandbox_url, policy)
        if retriever_url:
            self._executors["retriever"] = RetrieverExecutor(retriever_url, policy)

    def toolset(self, question: Question) -> Toolset:
        """The tools that a question offers.

        Raises:
            UserError: it names an unknown tool, or one whose service this run was not given.
        """
        if question.tools is None and question.func_schemas is None:
            question = question.model_copy(update={"tools": self.default})
        return Toolset(self.registry.for_question(question), self._executors)
