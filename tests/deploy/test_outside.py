"""The gateway to a teacher outside: a real HAProxy with the shipped configuration forwards to the named endpoint alone."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import yaml

from tests.deploy.manifests import ROOT, containers, of_kind
from tests.support.waiting import eventually

CONFIG = ROOT / "deploy" / "outside" / "haproxy.cfg"


class Endpoint(BaseHTTPRequestHandler):
    """Answers with the path and host that it was asked for."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def do_GET(self) -> None:
        body = f"{self.command} {self.path} at {self.headers['host']}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate and its key, in one file."""
    made = folder / f"{name}.pem"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", f"{made}.key", "-out", str(made)], check=True, capture_output=True)
    return made


@contextmanager
def endpoint(certificate: Path | None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, f"{certificate}.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


@contextmanager
def gateway(folder: Path, **environment: str) -> Iterator[httpx.Client]:
    """HAProxy with the shipped configuration, on a free port in place of 8000."""
    haproxy = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if haproxy is None:
        pytest.skip("haproxy is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "haproxy.cfg"
    config.write_text(CONFIG.read_text().replace("bind :8000", f"bind 127.0.0.1:{port}"))
    settings = {"OUTSIDE_TLS": "on", "OUTSIDE_HOST": "localhost", **environment}
    process = subprocess.Popen(
        [haproxy, "-db", "-f", str(config)], env=os.environ | settings, stdout=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:

            def up() -> bool:
                try:
                    return client.get("/outside/health").status_code == 200
                except httpx.HTTPError:
                    return False

            eventually(up, 20, what="the gateway")
            yield client
    finally:
        process.terminate()
        process.wait(20)


def test_it_forwards_to_the_endpoint_over_checked_tls_and_refuses_the_rest(tmp_path: Path) -> None:
    trusted = certificate(tmp_path, "localhost")
    with (
        endpoint(trusted) as port,
        gateway(tmp_path, OUTSIDE_PORT=str(port), OUTSIDE_CA_FILE=str(trusted)) as client,
    ):
        answer = client.post("/v1/chat/completions", json={}, headers={"host": "elsewhere.example.org"})
        assert (answer.status_code, answer.text) == (200, "POST /v1/chat/completions at localhost")
        assert client.get("/v1/models").status_code == 200
        assert [client.get(path).status_code for path in ("/", "/admin", "/v2/x")] == [403, 403, 403]
        assert client.delete("/v1/models").status_code == 403
        absolute = client.build_request("GET", "/v1/models", extensions={"target": b"http://169.254.169.254/v1/models"})
        assert client.send(absolute).status_code in (400, 403)


@pytest.mark.parametrize("name", ["another.example.org", "localhost"])
def test_a_certificate_that_is_not_the_endpoints_is_refused(tmp_path: Path, name: str) -> None:
    """Of another name, or of the right name but signed by somebody who is not trusted."""
    shown = certificate(tmp_path, name)
    (tmp_path / "other").mkdir()
    trusted = shown if name != "localhost" else certificate(tmp_path / "other", "localhost")
    with endpoint(shown) as port, gateway(tmp_path, OUTSIDE_PORT=str(port), OUTSIDE_CA_FILE=str(trusted)) as client:
        assert client.get("/v1/models").status_code == 503


def test_a_plain_endpoint_in_ones_own_network(tmp_path: Path) -> None:
    unused = certificate(tmp_path, "localhost")
    with (
        endpoint(None) as port,
        gateway(tmp_path, OUTSIDE_PORT=str(port), OUTSIDE_TLS="off", OUTSIDE_CA_FILE=str(unused)) as client,
    ):
        assert client.get("/v1/models").text == "GET /v1/models at localhost"


def test_in_compose_workers_reach_it_and_the_sandbox_does_not() -> None:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    on = {name for name, service in loaded["services"].items() if "outside" in service["networks"]}
    assert on == {"outside", "teacher-worker", "trainer-worker", "evaluator-worker"}
    assert loaded["networks"]["outside"] == {"internal": True}
    assert loaded["services"]["outside"]["profiles"] == ["outside"]


def test_on_kubernetes_it_alone_may_leave_the_cluster_and_replaces_the_model_server() -> None:
    overlay = "overlays/gpu-outside"
    leaving = {
        policy["metadata"]["name"]
        for policy in of_kind(overlay, "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    }
    assert leaving == {"outside"}
    (gateway_container,) = [c for where, _, c in containers(overlay) if where.endswith("Deployment/outside: outside")]
    assert {e["name"]: e["value"] for e in gateway_container["env"]}["OUTSIDE_HOST"] == "api.example.org"
    assert "model" not in {d["metadata"]["name"] for d in of_kind(overlay, "Deployment", "Service")}
