"""Hosts that a spec names: where they are, whether a list allows them, and addresses that are never a service."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from mentor.errors import UserError
from mentor.rpc.channels import is_http

_PORTS = {"http": 80, "https": 443}
_TARGET = re.compile(r"(?:grpc://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))
"""Metadata services of clouds that do not use a link-local address."""


@dataclass(frozen=True)
class Place:
    """Where something listens. ``standard`` says that the port is the scheme's own."""

    host: str
    port: int
    standard: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def place_of(endpoint: str, field: str) -> Place:
    """Host and port of a URL, or of a gRPC target, by the parser of the client that will connect.

    Raises:
        UserError: it is neither, or carries more than scheme, host, port and path.
    """
    if not is_http(endpoint):
        found = _TARGET.fullmatch(endpoint)
        if found is None:
            raise UserError(
                f"{field}: {endpoint!r} is no address", field=field, allowed="host:port or http://host:port"
            )
        return Place(found["host"].strip("[]").lower(), int(found["port"]))
    try:
        url = httpx.URL(endpoint)
    except (httpx.InvalidURL, ValueError) as error:
        raise UserError(f"{field}: {error}", field=field, allowed="http://host:port") from None
    if url.userinfo or url.query or url.fragment or not url.host:
        raise UserError(f"{field}: a user, a query or no host", field=field, allowed="scheme, host, port and path")
    port = url.port or _PORTS[url.scheme]
    return Place(url.host.lower().rstrip("."), port, standard=port == _PORTS[url.scheme])


def matches(place: Place, pattern: str) -> bool:
    """Whether an entry of a list (``HOST[:PORT]``) means that place."""
    if pattern == "*":
        return True
    host, colon, port = pattern.rpartition(":") if re.search(r":(\d+|\*)$", pattern) else (pattern, "", "")
    fits = place.standard if not colon else port in ("*", str(place.port))
    host = host.strip("[]").lower()
    return fits and (place.host.endswith(host[1:]) if host.startswith("*.") else place.host == host)


def exact(place: Place, patterns: Iterable[str]) -> bool:
    """Whether a list names that very host, not merely a family of them."""
    return any("*" not in pattern.removesuffix(":*") and matches(place, pattern) for pattern in patterns)


def never_a_service(place: Place) -> str | None:
    """The address for which nobody may be sent there: link-local ones and the metadata services of clouds.

    A name is resolved; one that cannot be is left to the connection's own failure.
    """
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    for *_, address in found:
        parsed = ipaddress.ip_address(str(address[0]).partition("%")[0])
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        if plain.is_link_local or plain.is_multicast or plain in _METADATA:
            return str(plain)
    return None
