"""The network of calls: closed, or open to named hosts through the sandbox's proxy and to nothing else."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mentor.errors import UserError
from mentor_sandbox.app import build
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.network.proxy import Proxy
from tests.support.service_process import ServiceProcess, running_process

PUBLISHED = (
    "import requests\n"
    "def wikipedia_search(query: str, top_n: int = 5):\n"
    "    url = '<search-url-placeholder>/search'\n"
    "    if query == '':\n"
    "        return 'invalid query'\n"
    "    response = requests.post(url, json={'query': query, 'top_n': top_n})\n"
    "    return ''.join(f\"{item['contents']}\\n\\n\" for item in response.json()).strip()\n"
)


class _Retriever(BaseHTTPRequestHandler):
    """Answers searches as a retriever does, and remembers who asked how."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        self.send_error(404)

    do_PUT = do_DELETE = do_GET

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        answer = json.dumps([{"contents": f"{body['query']} {n}"} for n in range(body["top_n"])]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server in a thread."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Retriever)
        self.seen: list[tuple[str, dict[str, str]]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@pytest.fixture(scope="module")
def retriever() -> Iterator[Server]:
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def forbidden() -> Iterator[Server]:
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def sandbox(retriever: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    tools = tmp_path_factory.mktemp("tools") / "tools.py"
    tools.write_text(
        f'NETWORK = ["{retriever.host}"]\n'
        "def search(query: str) -> str:\n"
        '    """Search."""\n'
        "    import requests\n"
        f'    url = "http://{retriever.host}/search"\n'
        '    return requests.post(url, json={"query": query, "top_n": 1}).json()[0]["contents"]\n'
        "def fetch(url: str) -> int:\n"
        '    """Fetch."""\n'
        "    import requests\n"
        "    return requests.get(url).status_code\n"
    )
    flags = ("--set", f"search_url=http://{retriever.host}", "--set", f"tools_path={tools}")
    with running_process("mentor_sandbox", *flags) as service:
        yield service


def execute(sandbox: ServiceProcess, env: str, call: str = "None") -> dict[str, Any]:
    answer: dict[str, Any] = sandbox.post("/execute", {"env": env, "call": call, "timeout": 30}).json()
    return answer


def test_the_published_search_runs_unmodified_through_the_proxy(sandbox: ServiceProcess, retriever: Server) -> None:
    answer = execute(sandbox, PUBLISHED, "wikipedia_search('Ada', top_n=2)")
    assert (answer["result"], answer["error"]) == ("Ada 0\n\nAda 1", None)
    path, headers = retriever.seen[-1]
    assert path == "/search"
    assert "proxy-authorization" not in {name.lower() for name in headers}


def test_our_own_retriever_gets_the_key_which_the_tool_never_sees(retriever: Server) -> None:
    flags = ("--set", f"search_url=http://{retriever.host}")
    with running_process("mentor_sandbox", *flags, env={"MENTOR_API_KEY": "s3cret-key-of-ours"}) as service:
        env = PUBLISHED + "\nimport os\ndef environment():\n    return repr(dict(os.environ))\n"
        headers = {"authorization": "Bearer s3cret-key-of-ours"}
        for call in ("wikipedia_search('Ada', top_n=1)", "environment()"):
            answer = service.post("/execute", {"env": env, "call": call, "timeout": 30}, headers=headers).json()
            assert answer["error"] is None
            assert "s3cret" not in str(answer["result"])
    assert retriever.seen[-1][1]["Authorization"] == "Bearer s3cret-key-of-ours"


ADMINISTRATION = """
import urllib.error, urllib.request
def ask(method, path, base='<search-url-placeholder>', **headers):
    request = urllib.request.Request(base + path, data=b'{"query": "x", "top_n": 1}', method=method, headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
"""


def test_source_with_the_placeholder_may_search_and_nothing_else(sandbox: ServiceProcess, retriever: Server) -> None:
    assert execute(sandbox, ADMINISTRATION, "[ask('POST', '/batch_search'), ask('POST', '/v1/search')]")["result"] == [
        200,
        200,
    ]
    before = len(retriever.seen)
    for method, path in [
        *(("POST", path) for path in ("/v1/index/swap", "/v1/index", "/", "/search/", "/search?x=1", "/docs", "/metrics")),
        *(("POST", path) for path in ("//search", "/./search", "/v1/../search", "/%73earch", "/SEARCH", "/search%00")),
        *((method, "/search") for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "post")),
        ("GET", "/v1/index"),
    ]:  # fmt: skip
        code, said = execute(sandbox, ADMINISTRATION, f"ask({method!r}, {path!r})")["result"]
        assert code == 403, (method, path)
        assert method == "HEAD" or "may search here and nothing else" in said, said
    assert len(retriever.seen) == before


def test_a_registered_tool_reaches_the_hosts_of_its_list_from_a_warm_worker(sandbox: ServiceProcess) -> None:
    for query in ("one", "two"):
        result = sandbox.post("/v1/execute", {"tool": "search", "arguments": {"query": query}}).json()
        assert (result["status"], result["value"]) == ("ok", f"{query} 0")


def test_another_host_or_port_is_refused_by_the_proxy(sandbox: ServiceProcess, forbidden: Server) -> None:
    for url in (f"http://{forbidden.host}/", "http://example.com/"):
        result = sandbox.post("/v1/execute", {"tool": "fetch", "arguments": {"url": url}}).json()
        assert (result["status"], result["value"]) == ("ok", 403), result
    secure = {"tool": "fetch", "arguments": {"url": f"https://{forbidden.host}/"}}
    refused = sandbox.post("/v1/execute", secure).json()
    assert refused["error_type"] == "ProxyError"
    assert forbidden.seen == []


ALLOWED_SOURCE = "mark = '<search-url-placeholder>'\nimport socket, os\n"
REFUSED = [
    ("the allowed host without the proxy", "socket.create_connection(('127.0.0.1', RETRIEVER))", "PermissionError"),
    ("another port of this machine", "socket.create_connection(('127.0.0.1', FORBIDDEN))", "PermissionError"),
    ("a name lookup", "socket.getaddrinfo('example.com', 80)", "gaierror"),
    ("a datagram socket", "socket.socket(type=socket.SOCK_DGRAM)", "PermissionError"),
    ("a raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", "PermissionError"),
    ("a packet socket", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)", "PermissionError"),
    ("a Unix socket", "socket.socket(socket.AF_UNIX)", "PermissionError"),
    ("a netlink socket", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", "PermissionError"),
    ("a listening socket", "socket.create_server(('127.0.0.1', 0))", "PermissionError"),
]


@pytest.mark.parametrize(("attempt", "kind"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_call_with_an_allow_list_can_do_nothing_else(
    sandbox: ServiceProcess, retriever: Server, forbidden: Server, attempt: str, kind: str
) -> None:
    attempt = attempt.replace("RETRIEVER", str(retriever.server_port)).replace("FORBIDDEN", str(forbidden.server_port))
    answer = execute(sandbox, ALLOWED_SOURCE, attempt)
    assert (answer["status"], answer["error_type"]) == ("tool_error", kind), answer


def test_a_call_without_an_allow_list_has_no_sockets_and_no_proxy(sandbox: ServiceProcess) -> None:
    assert execute(sandbox, "import socket", "socket.socket()")["error_type"] == "PermissionError"
    assert execute(sandbox, "import os", "dict(os.environ)")["result"] == {}


def test_the_allow_list_is_named_among_the_walls(sandbox: ServiceProcess, retriever: Server) -> None:
    assert sandbox.get("/health").json()["walls"]["network"] == f"open through the proxy, to {retriever.host}"


@pytest.fixture
async def proxy(retriever: Server) -> Any:
    running = Proxy([retriever.host])
    await running.start()
    yield running
    await running.stop()


async def ask(proxy: Proxy, request: str) -> str:
    """The status line of the proxy's answer, "" if it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(request.encode("latin-1"))
    line = await reader.readline()
    writer.close()
    return line.decode("latin-1").strip()


def authorised(proxy: Proxy) -> str:
    return f"Proxy-Authorization: {proxy._expected}\r\n"


async def test_the_proxy_serves_nobody_without_its_password(proxy: Proxy, retriever: Server) -> None:
    for field in ("", "Proxy-Authorization: Basic c2FuZGJveDp3cm9uZw==\r\n"):
        line = await ask(proxy, f"GET http://{retriever.host}/ HTTP/1.1\r\n{field}\r\n")
        assert line == "HTTP/1.1 407 Proxy Authentication Required"


@pytest.mark.parametrize(
    "target",
    [
        "GET /search HTTP/1.1",
        "GET ftp://h/ HTTP/1.1",
        "CONNECT nothing HTTP/1.1",
        "nonsense",
        "GET http://h:x/ HTTP/1.1",
    ],
)
async def test_the_proxy_hangs_up_on_what_it_does_not_understand(proxy: Proxy, target: str) -> None:
    assert await ask(proxy, f"{target}\r\n{authorised(proxy)}\r\n") == ""


async def test_the_proxy_tunnels_to_allowed_hosts_only(proxy: Proxy, retriever: Server) -> None:
    connect = f"CONNECT {retriever.host} HTTP/1.1\r\n{authorised(proxy)}\r\n"
    assert await ask(proxy, connect) == "HTTP/1.1 200 Connection established"
    elsewhere = f"CONNECT 127.0.0.1:1 HTTP/1.1\r\n{authorised(proxy)}\r\n"
    assert await ask(proxy, elsewhere) == "HTTP/1.1 403 Forbidden"


@pytest.fixture
async def searching(retriever: Server) -> Any:
    running = Proxy([retriever.host], ours=retriever.host)
    await running.start()
    yield running
    await running.stop()


BODY = '{"query": "a", "top_n": 1}'
LENGTH = f"Content-Length: {len(BODY)}\r\n"
TRICKS = {
    "tunnel": ("CONNECT HOST HTTP/1.1", ""),
    "user in the address": ("POST http://user@HOST/search HTTP/1.1", LENGTH),
    "other address in front": ("POST http://127.0.0.1:1@HOST/search HTTP/1.1", LENGTH),
    "backslash": ("POST http://HOST\\@127.0.0.1:1/search HTTP/1.1", LENGTH),
    "fragment": ("POST http://HOST/v1/index#/search HTTP/1.1", LENGTH),
    "path as parameter": ("POST http://HOST/v1/index;/search HTTP/1.1", LENGTH),
    "tab in the path": ("POST http://HOST/v1/\tindex HTTP/1.1", LENGTH),
    "line feed in the path": ("POST http://HOST/search\nGET HTTP/1.1", LENGTH),
    "chunked": ("POST http://HOST/search HTTP/1.1", "Transfer-Encoding: chunked\r\n"),
    "chunked and length": ("POST http://HOST/search HTTP/1.1", LENGTH + "Transfer-Encoding: chunked\r\n"),
    "chunked in disguise": ("POST http://HOST/search HTTP/1.1", LENGTH + "Transfer-Encoding : chunked\r\n"),
    "field behind a line feed": (
        "POST http://HOST/search HTTP/1.1",
        LENGTH + "Accept: a\nTransfer-Encoding: chunked\r\n",
    ),
    "folded field": ("POST http://HOST/search HTTP/1.1", LENGTH + "Accept: a\r\n b\r\n"),
    "two lengths": ("POST http://HOST/search HTTP/1.1", LENGTH + "Content-Length: 0\r\n"),
    "negative length": ("POST http://HOST/search HTTP/1.1", "Content-Length: -1\r\n"),
    "signed length": ("POST http://HOST/search HTTP/1.1", "Content-Length: +26\r\n"),
    "lengths in a list": ("POST http://HOST/search HTTP/1.1", "Content-Length: 26, 26\r\n"),
    "no length": ("POST http://HOST/search HTTP/1.1", ""),
    "upgrade": ("POST http://HOST/search HTTP/1.1", LENGTH + "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
}


@pytest.mark.parametrize("trick", TRICKS)
async def test_no_trick_of_the_protocol_gets_past_the_search(searching: Proxy, retriever: Server, trick: str) -> None:
    line, fields = TRICKS[trick]
    before = len(retriever.seen)
    head = f"{line.replace('HOST', retriever.host)}\r\n{authorised(searching)}{fields}\r\n"
    answered = await ask(searching, head + BODY)
    assert answered == "" or answered.split()[1] in ("400", "403", "411"), answered
    assert len(retriever.seen) == before


async def test_a_second_request_behind_a_search_reaches_nobody(searching: Proxy, retriever: Server) -> None:
    before = len(retriever.seen)
    head = f"POST http://{retriever.host}/search HTTP/1.1\r\n{authorised(searching)}{LENGTH}X-Mine: 1\r\n\r\n"
    second = f"POST /v1/index/swap HTTP/1.1\r\nHost: {retriever.host}\r\n{LENGTH}\r\n{BODY}"
    assert await ask(searching, head + BODY + second) == "HTTP/1.1 200 OK"
    assert [path for path, _ in retriever.seen[before:]] == ["/search"]
    assert "x-mine" not in {name.lower() for name in retriever.seen[-1][1]}


async def test_an_allowed_host_that_is_away_is_a_bad_gateway() -> None:
    proxy = Proxy(["127.0.0.1:1"])
    await proxy.start()
    line = await ask(proxy, f"GET http://127.0.0.1:1/ HTTP/1.1\r\n{authorised(proxy)}\r\n")
    await proxy.stop()
    assert line == "HTTP/1.1 502 Bad Gateway"


@pytest.mark.parametrize("host", ["example.com", "http://example.com:80", "a b:1", "host:port"])
def test_a_host_that_is_not_host_and_port_is_refused_at_start(host: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="host:port"):
        build(SandboxSettings(untrusted_hosts=(host,), scratch_root=tmp_path))
