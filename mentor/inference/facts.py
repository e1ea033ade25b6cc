"""What a model server, or a model's folder, says of itself: for the manifests of what was made with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx

_TIMEOUT_S = 5.0
_LONGEST = 65_536
_OF_MODEL = ("id", "root", "owned_by", "max_model_len")


class Place(Protocol):
    """An endpoint as specs name it."""

    @property
    def url(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...


class Source(Place, Protocol):
    """A model as specs name it: endpoints, or a folder."""

    @property
    def path(self) -> str | None: ...
    @property
    def replicas(self) -> Sequence[Place]: ...


def server_facts(source: Source) -> dict[str, Any]:
    """Version and model of a server (``/version``, ``/v1/models``, the header ``Server``), or digests of a folder.

    Replicas are asked likewise. What is not told is left out: manifests are made whether or not a server likes to be
    asked. No key is sent.
    """
    if source.path is not None:
        return _folder(Path(source.path))
    with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client:
        facts = _endpoint(client, source.url or "", source.name)
        others = [_endpoint(client, place.url or "", place.name or source.name) for place in source.replicas]
    return facts | ({"replicas": others} if others else {})


def _endpoint(client: httpx.Client, url: str, name: str | None) -> dict[str, Any]:
    base = url.rstrip("/").removesuffix("/v1")
    facts: dict[str, Any] = {"url": url}
    version = _ask(client, f"{base}/version", facts)
    models = _ask(client, f"{base}/v1/models", facts)
    if isinstance(version, dict) and isinstance(version.get("version"), str):
        facts["version"] = version["version"][:200]
    listed = models.get("data") if isinstance(models, dict) else None
    for model in listed if isinstance(listed, list) else ():
        if isinstance(model, dict) and model.get("id") == name:
            facts["model"] = {key: str(model[key])[:200] for key in _OF_MODEL if model.get(key) is not None}
    return facts


def _ask(client: httpx.Client, url: str, facts: dict[str, Any]) -> Any:
    try:
        answer = client.get(url)
        if named := answer.headers.get("server"):
            facts["server"] = named[:200]
        return answer.json() if answer.is_success and len(answer.content) <= _LONGEST else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
        return None


def _folder(path: Path) -> dict[str, Any]:
    """The configuration whole; of weights, which may be large, names and sizes."""
    total = hashlib.sha256()
    for file in sorted(f for f in path.rglob("*") if f.is_file()):
        small = file.suffix in (".json", ".jinja", ".txt", ".model")
        total.update(f"{file.relative_to(path)} {file.stat().st_size}\0".encode())
        total.update(file.read_bytes() if small else b"")
    return {"folder": path.name, "digest": total.hexdigest()}
