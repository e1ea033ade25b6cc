"""One file over HTTP: resumed where it stopped, checked, and moved into place whole.

While it comes it is ``FILE.part``; ``FILE.part.etag`` holds the version it belongs to. A download goes on only if the server
confirms that version (``If-Range``) and answers with the range asked for; otherwise it begins again. Memory is constant.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx

from mentor.data.files import unwritable
from mentor.errors import InfrastructureError, NotFoundError, OverloadedError, UnauthenticatedError, UserError
from mentor.rpc.retry import RetryPolicy, backoff_s

CHUNK = 1 << 20
_log = logging.getLogger(__name__)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403})
Report = Callable[[str, int, int | None], None]
"""Called with a label, the bytes done, and the bytes in all (None: unknown)."""


@dataclass(frozen=True)
class Wanted:
    """What is known of a file before it comes. ``room`` is the bytes to be left free beside it."""

    size: int | None = None
    sha256: str | None = None
    origin: str = ""
    room: int = 0


@dataclass(frozen=True)
class Remote:
    """What a server says of a file. ``sha256`` is a hub's ``X-Linked-Etag``; ``etag`` is None unless it is a strong one."""

    etag: str | None
    size: int | None
    sha256: str | None

    @classmethod
    def of(cls, response: httpx.Response) -> Remote:
        """From an answer 200 or 206, and from the redirects that led to it."""
        etag = response.headers.get("etag", "")
        linked = _first_header(response, "x-linked-etag").strip('"').lower()
        return cls(
            etag=etag if etag.startswith('"') else None,
            size=_total(response),
            sha256=linked if _SHA256.fullmatch(linked) else None,
        )


def _first_header(response: httpx.Response, name: str) -> str:
    return next((str(r.headers[name]) for r in (*response.history, response) if name in r.headers), "")


def _total(response: httpx.Response) -> int | None:
    if response.status_code == 200:
        length = response.headers.get("content-length", "")
    else:
        length = response.headers.get("content-range", "").rpartition("/")[2]
    return int(length) if length.isdecimal() else None


class Partial:
    """``FILE.part``: its bytes, their digest, and the version they belong to."""

    def __init__(self, path: Path, report: Report) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._part = part_of(path)
        self._etag = path.with_name(f"{path.name}.part.etag")
        self._file = self._part.open("ab", buffering=0)
        self.size = self._part.stat().st_size
        self._hash = hashlib.sha256()
        if self.size:
            self._hash = hash_file(self._part, f"checking {self._part.name}", report)

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        if not self.size:
            self.discard()  # nothing came: leave nothing

    @property
    def etag(self) -> str | None:
        """The version of the bytes here; None if there are none, or it is not known."""
        return (self._etag.read_text().strip() or None) if self.size and self._etag.exists() else None

    def restart(self, etag: str | None = None) -> None:
        """Forget the bytes; those to come are of the version ``etag``."""
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0
        self._etag.write_text(etag or "")

    def write(self, chunk: bytes) -> None:
        """Append."""
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]
        self._hash.update(chunk)
        self.size += len(chunk)

    def digest(self) -> str:
        """SHA-256 of the bytes so far."""
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Remove it."""
        self._part.unlink(missing_ok=True)
        self._etag.unlink(missing_ok=True)

    def finish(self) -> None:
        """Move it into its place."""
        os.fsync(self._file.fileno())
        self._part.replace(self.path)
        self._etag.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """Where a file is while it comes."""
    return path.with_name(f"{path.name}.part")


def hash_file(path: Path, label: str, report: Report) -> hashlib._Hash:
    """SHA-256 of a file, read in pieces."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            report(label, done, total)
    return digest


def check_room(folder: Path, needed: int) -> None:
    """Raise a ``UserError`` unless ``needed`` bytes are free where ``folder`` is or will be."""
    existing = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"{folder} has {in_words(free)} free, {in_words(needed)} are needed", field="--to", allowed="a larger disk"
        )


def in_words(size: int) -> str:
    """Bytes in decimal units."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def download(client: httpx.Client, url: str, path: Path, wanted: Wanted, policy: RetryPolicy, report: Report) -> str:
    """Bring a file to ``path`` and return its SHA-256.

    Raises:
        UserError: no room, a place that cannot be written, a file that is not there (404) or not for us (401, 403).
        InfrastructureError: the server cannot be reached or fails for as long as ``policy`` allows, or what came is not
            what was wanted; it is removed then.
    """
    try:
        with Partial(path, report) as partial:
            remote = _receive_all(client, url, partial, wanted, policy, report)
            for expected, origin in ((wanted.sha256, wanted.origin), (remote.sha256, "the server")):
                if expected and partial.digest() != expected:
                    partial.discard()
                    raise InfrastructureError(
                        f"{path} was removed: its sha256 is {partial.digest()}, {origin} says {expected}"
                    )
            partial.finish()
            return partial.digest()
    except OSError as error:
        raise unwritable(path, error) from error


def probe(client: httpx.Client, url: str) -> Remote | None:
    """What the server says of a file, without fetching it; None if it does not answer."""
    try:
        with client.stream("GET", url) as response:
            return Remote.of(response) if response.status_code == 200 else None
    except httpx.RequestError:
        return None


def _receive_all(
    client: httpx.Client, url: str, partial: Partial, wanted: Wanted, policy: RetryPolicy, report: Report
) -> Remote:
    """Attempts until the file is whole. ``policy.attempts`` bounds those in a row that bring no new bytes worth a try."""
    failures, best = 0, partial.size
    while True:
        try:
            with _requested(client, url, partial) as response:
                return _receive(response, partial, wanted, report)
        except (httpx.RequestError, InfrastructureError) as error:
            if isinstance(error, Unfit):
                raise
            if partial.size >= best + CHUNK:
                failures, best = 0, partial.size
            failures += 1
            if failures >= policy.attempts:
                reason = str(error) or type(error).__name__
                raise InfrastructureError(f"{url}: {reason} (gave up after {failures} attempts)") from error
            asked = error if isinstance(error, InfrastructureError) else InfrastructureError(str(error))
            wait = backoff_s(asked, failures, policy)
            _log.warning("%s: %s; again in %.1f s", partial.path.name, str(error) or type(error).__name__, wait)
            time.sleep(wait)


class Unfit(InfrastructureError):
    """The server has another file than the one wanted: to try again would not help."""


@contextmanager
def _requested(client: httpx.Client, url: str, partial: Partial) -> Iterator[httpx.Response]:
    etag = partial.etag
    headers = {"Range": f"bytes={partial.size}-", "If-Range": etag} if etag else {}
    with client.stream("GET", url, headers=headers) as response:
        status = response.status_code
        if status in _REFUSED:
            raise UnauthenticatedError(
                f"{url} answers {status}", field="--token-file", allowed="a token that may read it; a licence accepted"
            )
        if status in (404, 410):
            raise NotFoundError(f"{url} answers {status}", field="--base-url", allowed="a mirror with the hub's paths")
        if status == 429:
            after = response.headers.get("retry-after", "")
            raise OverloadedError(
                f"answers {status}", retry_after=min(60.0, float(after)) if after.isdecimal() else 1.0
            )
        if status in _BUSY:
            raise InfrastructureError(f"answers {status}")
        if status not in (200, 206, 416):
            raise Unfit(f"{url} answers {status}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Unfit(f"{url} is sent encoded, though identity was asked for")
        yield response


def _receive(response: httpx.Response, partial: Partial, wanted: Wanted, report: Report) -> Remote:
    remote = Remote.of(response)
    if response.status_code == 416 and remote.size == partial.size:
        return remote  # it was whole already, only not yet in its place
    _check_announced(remote, wanted, partial)
    if response.status_code == 200:
        partial.restart(remote.etag)
    elif not _continues(response, remote, partial):
        partial.restart()
        raise InfrastructureError("answers with another range or version than asked for")
    if remote.size is not None:
        check_room(partial.path.parent, remote.size - partial.size + wanted.room)
    label = partial.path.name
    report(label, partial.size, remote.size)
    for chunk in response.iter_raw(CHUNK):
        partial.write(chunk)
        report(label, partial.size, remote.size)
    expected = wanted.size if wanted.size is not None else remote.size
    if expected is not None and partial.size != expected:
        short = partial.size < expected
        size = partial.size
        if not short:
            partial.restart()
        raise InfrastructureError(f"sent {size} of {expected} bytes")
    return remote


def _continues(response: httpx.Response, remote: Remote, partial: Partial) -> bool:
    starts = response.headers.get("content-range", "").startswith(f"bytes {partial.size}-")
    return response.status_code == 206 and starts and remote.etag in (None, partial.etag)


def _check_announced(remote: Remote, wanted: Wanted, partial: Partial) -> None:
    """Refuse another file than the wanted one before a byte of it comes."""
    for name, said, expected in (("size", remote.size, wanted.size), ("sha256", remote.sha256, wanted.sha256)):
        if said is not None and expected is not None and said != expected:
            partial.discard()
            raise Unfit(
                f"{partial.path.name}: the server has another file, of {name} {said}; {wanted.origin} says {expected}"
            )
