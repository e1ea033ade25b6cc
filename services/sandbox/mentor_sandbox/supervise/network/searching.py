"""Server. What a call may ask of the retriever, to which the proxy adds this deployment's key: to search, and nothing else.

A request is not passed on but written anew from the few parts of it that are known to be good: one of five paths as they are
written here (no other spelling of them), the method POST, four header fields, and a body whose length is stated. So there is
no path to normalise, no field to be read in two ways, and no second request behind the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

PATHS = ("/search", "/batch_search", "/retrieve", "/v1/search", "/v1/batch_search")
MAX_BODY = 16 * 1024 * 1024
_KEPT = ("content-type", "accept", "accept-encoding", "user-agent")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(r"[0-9]{1,8}")


class Refused(Exception):
    """The request is no search. Its text is for the caller; ``status`` is HTTP's."""

    def __init__(self, text: str, status: str = "403 Forbidden") -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Search:
    """A request to search: its head as the retriever gets it, without the key, and the length of its body."""

    path: str
    fields: tuple[str, ...]
    length: int

    def head(self, host: str, key: str | None) -> bytes:
        """Request line and fields."""
        lines = [f"POST {self.path} HTTP/1.1", f"Host: {host}", *self.fields, f"Content-Length: {self.length}"]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")


def search(method: str, target: str, fields: Sequence[str], host: str) -> Search:
    """The search that a request to a proxy asks for.

    Args:
        host: ``host:port`` of the retriever.

    Raises:
        Refused: it asks for anything else, or in a form that could be read in two ways.
    """
    path = _path(target, host)
    if method != "POST" or path is None:
        allowed = f"tools may search here and nothing else: POST to {', '.join(PATHS)}"
        raise Refused(f"the sandbox does not pass on {method[:20]!r} {target[:200]!r}; {allowed}")
    named = _named(fields)
    if "transfer-encoding" in named or "upgrade" in named:
        raise Refused("a search states its Content-Length, has no Transfer-Encoding and upgrades to nothing")
    lengths = named.get("content-length", [])
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) > MAX_BODY:
        raise Refused(f"a search has one Content-Length, of at most {MAX_BODY} bytes", "411 Length Required")
    kept = tuple(f"{name}: {named[name][0]}" for name in _KEPT if name in named)
    return Search(path, kept, int(lengths[0]))


def _path(target: str, host: str) -> str | None:
    """The path if the target is ``http://HOST/PATH`` to the letter, with a path of the list; a default port may be left out."""
    for authority in (host, host.removesuffix(":80")):
        prefix = f"http://{authority}"
        if target[: len(prefix)].lower() == prefix and target[len(prefix) :] in PATHS:
            return target[len(prefix) :]
    return None


def _named(fields: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Refused("a header field is malformed", "400 Bad Request")
        found.setdefault(name.lower(), []).append(value.strip())
    return found
