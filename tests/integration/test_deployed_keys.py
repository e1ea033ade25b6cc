"""Keys as `deploy/secrets.sh` makes them and as Compose hands them out, on a real retriever and a real sandbox."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from mentor.errors import ForbiddenError
from mentor.rpc.retry import RetryPolicy
from mentor.tools import MATH_TOOLS
from mentor.tools.executor_retriever import RetrieverExecutor
from mentor.tools.executor_sandbox import SandboxExecutor
from mentor.trajectory import ToolCall
from tests.support.service_process import ServiceProcess, running_process

ROOT = Path(__file__).resolve().parents[2]
ADD = next(tool for tool in MATH_TOOLS if tool.name == "add")
NOW = RetryPolicy(attempts=1)
SEARCH = (
    "import requests\n"
    "def search(query):\n"
    "    answer = requests.post('<search-url-placeholder>/search', json={'query': query, 'top_n': 1})\n"
    "    return [answer.status_code, answer.json()[0]['contents']]\n"
    "def keys():\n"
    "    import os\n"
    "    return repr(dict(os.environ))\n"
)


class Stack:
    """Secrets in a folder, and the two services with the variables that Compose gives them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        subprocess.run(["bash", str(ROOT / "deploy" / "secrets.sh"), str(folder)], check=True, capture_output=True)
        corpus = str(ROOT / "examples" / "tiny" / "corpus.jsonl")
        self.retriever = stack.enter_context(
            running_process("mentor_retriever", "--corpus-path", corpus, env=self.variables("retriever"))
        )
        flags = ("--set", f"search_url={self.retriever.http}")
        self.sandbox = stack.enter_context(running_process("mentor_sandbox", *flags, env=self.variables("sandbox")))

    def variables(self, service: str) -> dict[str, str]:
        """What Compose says of keys, with the folder in place of ``/run/secrets``."""
        loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        given = loaded[service]["environment"]
        return {
            k: v.replace("/run/secrets", str(self.folder)) for k, v in given.items() if "_KEY" in k and "ALLOW" not in k
        }

    def code(self, key: str, service: ServiceProcess, method: str, path: str, body: Any) -> int:
        headers = {"authorization": f"Bearer {(self.folder / key).read_text()}"}
        call = service.get(path, headers=headers) if method == "GET" else service.post(path, body, headers=headers)
        return call.status_code


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as opened:
        yield Stack(tmp_path_factory.mktemp("secrets"), opened)


def test_every_key_opens_what_its_holder_needs_and_nothing_else(stack: Stack) -> None:
    requests: dict[str, tuple[ServiceProcess, str, str, Any]] = {
        "search": (stack.retriever, "POST", "/search", {"query": "Yorwick"}),
        "administer": (stack.retriever, "GET", "/v1/index", None),
        "swap": (stack.retriever, "POST", "/v1/index/swap", {"nprobe": 0}),
        "run": (
            stack.sandbox,
            "POST",
            "/v1/execute",
            {"tool": "add", "arguments": {"firstNumber": 1, "secondNumber": 1}},
        ),
    }
    found = {
        key: {name for name, request in requests.items() if stack.code(key, *request) != 403}
        for key in ("api_key", "worker_key", "search_key", "submit_key")
    }
    assert found == {
        "api_key": {"search", "administer", "swap", "run"}, "worker_key": {"search", "run"},
        "search_key": {"search"}, "submit_key": set(),
    }  # fmt: skip


def test_a_tools_search_carries_the_key_that_can_only_search_and_the_tool_sees_none(stack: Stack) -> None:
    headers = {"authorization": f"Bearer {(stack.folder / 'worker_key').read_text()}"}
    for call in ("search('Yorwick')", "keys()"):
        answer = stack.sandbox.post("/execute", {"env": SEARCH, "call": call, "timeout": 30}, headers=headers).json()
        assert answer["error"] is None
        assert not any((stack.folder / key).read_text() in str(answer) for key in ("search_key", "worker_key"))
        assert call == "keys()" or answer["result"][0] == 200
    searches = [record for record in stack.retriever.records if record.get("route") == "/search"]
    assert searches[-1]["caller"] == "key:sandbox"


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_a_workers_key_is_enough_for_jobs(stack: Stack, monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    for name, value in stack.variables("evaluator-worker").items():
        monkeypatch.setenv(name, value)
    sandbox = SandboxExecutor(getattr(stack.sandbox, transport), NOW)
    retriever = RetrieverExecutor(getattr(stack.retriever, transport), NOW)
    observed = await sandbox.execute(ToolCall(name="add", arguments={"firstNumber": 2, "secondNumber": 3}), ADD)
    assert observed.ok and observed.content == "5"
    assert len(await retriever.search("Yorwick", 1)) == 1
    await sandbox.close()
    await retriever.close()


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_a_key_without_the_role_is_our_mistake_and_never_the_models(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("MENTOR_API_KEY_FILE", str(stack.folder / "submit_key"))
    retriever = RetrieverExecutor(getattr(stack.retriever, transport), NOW)
    sandbox = SandboxExecutor(getattr(stack.sandbox, transport), NOW)
    with pytest.raises(ForbiddenError, match="search"):
        await retriever.execute(ToolCall(name="wikipedia_search", arguments={"query": "Yorwick"}), ADD)
    with pytest.raises(ForbiddenError, match="run"):
        await sandbox.execute(ToolCall(name="add", arguments={"firstNumber": 2, "secondNumber": 3}), ADD)
    await sandbox.close()
    await retriever.close()
