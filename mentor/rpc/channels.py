"""gRPC channels and HTTP clients, one per event loop: both are bound to the loop that made them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import grpc
import httpx

from mentor.errors import UserError

T = TypeVar("T")
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class PerLoop(Generic[T]):
    """Makes one object per running event loop, on first use there."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def get(self) -> T:
        """The object of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            self._made[loop] = self._make()
        return self._made[loop]

    def take(self) -> T | None:
        """Hand over the object of the running loop, if there is one, and forget it (to close it)."""
        return self._made.pop(asyncio.get_running_loop(), None)


def is_http(endpoint: str) -> bool:
    """True for a URL (REST), False for a ``host:port`` gRPC target."""
    return endpoint.startswith(("http://", "https://"))


def grpc_channel(target: str) -> grpc.aio.Channel:
    """A channel to ``host:port`` (a ``grpc://`` prefix is dropped) that reconnects within a second.

    Plaintext, or TLS where MENTOR_GRPC_TLS_CA names the servers' authority; with MENTOR_GRPC_TLS_CERT and
    MENTOR_GRPC_TLS_KEY the client shows a certificate of its own (mutual TLS).

    Raises:
        UserError: one of these files cannot be read.
    """
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    address = target.removeprefix("grpc://")
    credentials = channel_credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


def channel_credentials() -> grpc.ChannelCredentials | None:
    """What the environment says about TLS; None for plaintext."""
    ca, cert, key = (os.environ.get(f"MENTOR_GRPC_TLS_{part}") for part in ("CA", "CERT", "KEY"))
    if not ca:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=read_pem(Path(ca), "MENTOR_GRPC_TLS_CA"),
        private_key=read_pem(Path(key), "MENTOR_GRPC_TLS_KEY") if key else None,
        certificate_chain=read_pem(Path(cert), "MENTOR_GRPC_TLS_CERT") if cert else None,
    )


def read_pem(path: Path, field: str) -> bytes:
    """A PEM file; raises ``UserError`` naming ``field``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", field=field, allowed="a PEM file") from None


def http_client(url: str) -> httpx.AsyncClient:
    """A pooled client of one service; the environment's proxies are not used."""
    limits = httpx.Limits(max_connections=256, max_keepalive_connections=64)
    return httpx.AsyncClient(base_url=url.rstrip("/"), limits=limits, trust_env=False)
