"""Who may call, and how much: keys, OpenID Connect, limits per caller, TLS, the admin port. Real sockets on loopback."""

from __future__ import annotations

import asyncio
import datetime
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from mentor.errors import OverloadedError, UnauthenticatedError, UserError
from mentor.inference.openai import Endpoint, OpenAIServer
from mentor.rpc.channels import grpc_channel
from mentor.rpc.context import outgoing
from mentor.rpc.errors import from_grpc, from_http
from mentor.serving import running
from mentor.serving.access import Door
from tests.support.toy_service import ToySettings, execute, serving, toy

ISSUER, AUDIENCE = "https://issuer.test", "mentor"


async def status(client: httpx.AsyncClient, token: str | None) -> int:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return (await client.get("/echo", headers=headers)).status_code


async def test_a_key_may_come_from_a_file_and_clients_may_have_keys_of_their_own(tmp_path: Path) -> None:
    shared, own = tmp_path / "key", tmp_path / "keys.yaml"
    shared.write_text("shared-key\n")
    own.write_text("alice: alices-own-key-1234\nbob: bobs-own-key-12345678\n")
    settings = ToySettings(MENTOR_API_KEY_FILE=shared, MENTOR_API_KEYS_FILE=own)  # type: ignore[call-arg]
    async with serving(toy(settings)) as (client, _, _):
        found = [await status(client, t) for t in ("shared-key", "alices-own-key-1234", "alice", "", None)]
    assert found == [200, 200, 401, 401, 401]


@pytest.mark.parametrize(
    ("content", "reason"), [("", "no keys"), ("alice: short", "too short"), ("- a", "no keys"), ("a: {", "cannot read")]
)
def test_a_key_file_that_cannot_be_one_is_refused_at_start(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=reason) as caught:
        Door.of(ToySettings(MENTOR_API_KEYS_FILE=file))  # type: ignore[call-arg]
    assert caught.value.field == "api_keys_file"


async def test_our_key_goes_to_our_services_and_to_no_model_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTOR_API_KEY", "s3cret-s3cret")
    assert outgoing()["authorization"] == "Bearer s3cret-s3cret"
    seen: dict[str, str] = {}

    class Model(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.update({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None: ...

    with served(Model) as url:
        server = OpenAIServer(Endpoint(url=url, model="m"))
        await server.post("/v1/chat/completions", {}, request_id="r", timeout_s=10)
        await server.close()
    assert "x-request-id" in seen
    assert "authorization" not in seen


class served:
    """An HTTP server on a free port in a thread."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = HTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def provider() -> Iterator[tuple[str, rsa.RSAPrivateKey]]:
    """An identity provider that publishes one key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    published = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "k1", "use": "sig"}

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [published]}).encode())

        def log_message(self, *_: Any) -> None: ...

    with served(Keys) as url:
        yield f"{url}/jwks", key


def token(key: rsa.RSAPrivateKey, **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "carol", "exp": time.time() + 600} | changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, "RS256", headers={"kid": "k1"})


async def test_tokens_of_the_identity_provider_are_accepted_and_others_are_not(
    provider: tuple[str, rsa.RSAPrivateKey],
) -> None:
    url, key = provider
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    settings = ToySettings(  # type: ignore[call-arg]
        MENTOR_OIDC_ISSUER=ISSUER, MENTOR_OIDC_AUDIENCE=AUDIENCE, MENTOR_OIDC_JWKS_URL=url
    )
    bad = {
        "expired": token(key, exp=time.time() - 600),
        "another audience": token(key, aud="other"),
        "another issuer": token(key, iss="https://evil.test"),
        "no subject": token(key, sub=None),
        "another key": token(other),
        "no signature": jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": time.time() + 60}, None, "none"),
        "no token at all": "nonsense",
    }
    async with serving(toy(settings)) as (client, channel, _):
        good = token(key)
        assert [await status(client, good) for _ in range(2)] == [200, 200]
        await execute(channel, "echo", metadata=(("authorization", f"Bearer {good}"),))
        for reason, wrong in bad.items():
            assert await status(client, wrong) == 401, reason
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await execute(channel, "echo", metadata=(("authorization", f"Bearer {bad['expired']}"),))
        assert isinstance(from_grpc(caught.value), UnauthenticatedError)


def test_oidc_configured_by_halves_is_refused() -> None:
    with pytest.raises(UserError, match="halves"):
        Door.of(ToySettings(MENTOR_OIDC_ISSUER=ISSUER))  # type: ignore[call-arg]


async def test_one_clients_rate_is_bounded_and_anothers_is_not_touched(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("alice: alices-own-key-1234\nbob: bobs-own-key-12345678\n")
    settings = ToySettings(MENTOR_API_KEYS_FILE=keys, client_rate_per_s=0.5)  # type: ignore[call-arg]
    async with serving(toy(settings)) as (client, channel, _):
        codes = [await status(client, "alices-own-key-1234") for _ in range(8)]
        assert codes == [200] * 5 + [429] * 3
        refused = await client.get("/echo", headers={"authorization": "Bearer alices-own-key-1234"})
        assert isinstance(from_http(refused), OverloadedError)
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await execute(channel, "echo", metadata=(("authorization", "Bearer alices-own-key-1234"),))
        assert isinstance(from_grpc(caught.value), OverloadedError)
        assert await status(client, "bobs-own-key-12345678") == 200
        assert (await client.get("/health")).status_code == 200


async def test_one_clients_requests_at_once_are_bounded() -> None:
    async with serving(toy(ToySettings(client_concurrency=2))) as (client, _, _):
        answers = await asyncio.gather(*(client.get("/slow") for _ in range(4)))
        assert sorted(a.status_code for a in answers) == [200, 200, 429, 429]
        assert (await client.get("/slow")).status_code == 200


async def test_the_admin_port_has_the_metrics_and_the_main_port_has_not() -> None:
    async with running(toy(ToySettings(admin_port=0))) as server, httpx.AsyncClient(trust_env=False) as client:
        assert server.admin_url is not None
        assert (await client.get(f"{server.http_url}/metrics")).status_code == 404
        assert (await client.get(f"{server.http_url}/ready")).status_code == 200
        assert (await client.get(f"{server.admin_url}/ready")).status_code == 200
        assert "mentor_http_requests_total" in (await client.get(f"{server.admin_url}/metrics")).text
        assert (await client.get(f"{server.admin_url}/echo")).status_code == 404


def _certificate(folder: Path, name: str, issuer: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(private)
    return certificate, key


async def test_grpc_with_mutual_tls_admits_who_shows_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = _certificate(tmp_path, "ca")
    for name in ("server", "client"):
        _certificate(tmp_path, name, authority)
    _certificate(tmp_path, "stranger")
    settings = ToySettings(  # type: ignore[call-arg]
        MENTOR_GRPC_TLS_CERT=tmp_path / "server.crt", MENTOR_GRPC_TLS_KEY=tmp_path / "server.key",
        MENTOR_GRPC_TLS_CA=tmp_path / "ca.crt",
    )  # fmt: skip

    async def call_as(name: str | None) -> str:
        monkeypatch.setenv("MENTOR_GRPC_TLS_CA", str(tmp_path / "ca.crt"))
        for part, suffix in (("CERT", "crt"), ("KEY", "key")):
            if name:
                monkeypatch.setenv(f"MENTOR_GRPC_TLS_{part}", str(tmp_path / f"{name}.{suffix}"))
            else:
                monkeypatch.delenv(f"MENTOR_GRPC_TLS_{part}", raising=False)
        channel = grpc_channel(f"localhost:{str(server.grpc_target).rpartition(':')[2]}")
        try:
            await execute(channel, "echo")
            return "OK"
        except grpc.aio.AioRpcError as error:
            return error.code().name
        finally:
            await channel.close()

    async with running(toy(settings)) as server:
        assert await call_as("client") == "OK"
        assert await call_as(None) == "UNAVAILABLE"
        assert await call_as("stranger") == "UNAVAILABLE"
        async with grpc.aio.insecure_channel(str(server.grpc_target)) as plain:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await execute(plain, "echo")
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="belong together"):
        ToySettings(MENTOR_GRPC_TLS_CERT=tmp_path / "server.crt")  # type: ignore[call-arg]
