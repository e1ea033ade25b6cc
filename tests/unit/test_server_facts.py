"""What a manifest says of a model server: what the server tells, and nothing that it does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mentor.inference.facts import server_facts
from mentor.rollout.connect import ModelSource


class _Server(BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, bytes]] = {}
    asked: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("authorization")))
        status, body = self.answers.get(self.path, (404, b"{}"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _Server.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_version_and_model_are_told_and_no_key_is_sent(url: str) -> None:
    _Server.answers = {
        "/version": (200, b'{"version": "0.12.3"}'),
        "/v1/models": (200, b'{"data": [{"id": "m", "root": "/models/m", "max_model_len": 4096}, {"id": "n"}]}'),
    }
    facts = server_facts(ModelSource(url=f"{url}/v1", name="m", api_key_env="SECRET", replicas=(url,)))
    assert facts["version"] == "0.12.3" and facts["model"] == {"id": "m", "root": "/models/m", "max_model_len": "4096"}
    assert facts["replicas"][0]["version"] == "0.12.3" and "BaseHTTP" in facts["server"]
    assert len(_Server.asked) == 4 and all(key is None for _, key in _Server.asked)


@pytest.mark.parametrize(
    "body", [b"not json", b'{"data": 7}', b'["x"]', b'{"version": {"a": 1}, "data": [1]}', b"[" * 60_000]
)
def test_nonsense_is_left_out(url: str, body: bytes) -> None:
    _Server.answers = {"/version": (200, body), "/v1/models": (200, body)}
    assert set(server_facts(ModelSource(url=url, name="m"))) == {"url", "server"}


def test_a_server_that_is_away_and_a_folder(tmp_path: Path) -> None:
    assert server_facts(ModelSource(url="http://127.0.0.1:9", name="m")) == {"url": "http://127.0.0.1:9"}
    (tmp_path / "config.json").write_text("{}")
    first = server_facts(ModelSource(path=str(tmp_path)))
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert server_facts(ModelSource(path=str(tmp_path)))["digest"] != first["digest"]
