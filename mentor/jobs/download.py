"""A download that goes on where it stopped, within one call and from one to the next, and ends with the right digest."""

from __future__ import annotations

import re
import tarfile
import time
from pathlib import Path

import httpx

from mentor.data.files import unwritable
from mentor.errors import InfrastructureError
from mentor.jobs.archive import digest_of
from mentor.jobs.artifacts import measure
from mentor.jobs.model import Artifact
from mentor.rpc.context import outgoing
from mentor.rpc.errors import from_http

_RETRY_SECONDS = 0.5
_SPAN = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")


class Download:
    """One artefact on its way to a file.

    What has come is kept beside the target, named by the artefact's digest, until all of it is there.

    Args:
        outage_s: seconds without a byte after which it gives up, for now.
    """

    def __init__(self, http: httpx.Client, path: str, artifact: Artifact, target: Path, outage_s: float) -> None:
        self._http, self._path, self._artifact = http, path, artifact
        self._target, self._outage_s = target, outage_s
        self.part = target.with_name(f".{target.name}.{artifact.sha256[:16]}.part")

    def run(self) -> Path:
        """Fetch what is missing; returns the target.

        Raises:
            InfrastructureError: the service stays away (the next call goes on from here), or what came is damaged.
            UserError: the target cannot be written.
        """
        try:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self.part.touch()
            until = time.monotonic() + self._outage_s
            while (failure := self._go_on()) is not None:
                if self._came:
                    until = time.monotonic() + self._outage_s
                if time.monotonic() >= until:
                    raise failure
                time.sleep(_RETRY_SECONDS)
            self._check()
            self.part.replace(self._target)
        except OSError as error:
            raise unwritable(self._target, error) from error
        return self._target

    def _go_on(self) -> Exception | None:
        """One request for the rest; None when everything is there."""
        have, self._came = self.part.stat().st_size, 0
        headers = outgoing() | {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": f'"{self._artifact.sha256}"'}
        try:
            with self._http.stream("GET", self._path, headers=headers) as response:
                if response.status_code == 416 and _span(response)[1] == have:
                    return None
                if response.status_code >= 400:
                    response.read()
                    return self._refused(from_http(response))
                return self._receive(response, have)
        except httpx.HTTPError as error:
            return InfrastructureError(f"cannot reach the service: {error or type(error).__name__}")

    def _refused(self, failure: Exception) -> Exception:
        if not isinstance(failure, InfrastructureError):
            raise failure
        return failure

    def _receive(self, response: httpx.Response, have: int) -> Exception | None:
        start, total = _span(response)
        with self.part.open("r+b") as file:
            file.truncate(start if start <= have else 0)
            file.seek(0, 2)
            for block in response.iter_raw():
                file.write(block)
                self._came += len(block)
            size = file.tell()
        return None if size == total else InfrastructureError(f"{size} of {total} bytes came")

    def _check(self) -> None:
        """Raise and begin anew next time, unless it is what the job committed: a file, or a folder's archive."""
        wanted = self._artifact.sha256
        if tarfile.is_tarfile(self.part) and _archived(self.part) == wanted:
            return
        if measure(self.part)[1] != wanted:
            self.part.unlink()
            raise InfrastructureError(f"what came of {self._artifact.name} has another digest than what was committed")


def _archived(path: Path) -> str:
    try:
        return digest_of(path)
    except tarfile.TarError:
        return ""


def _span(response: httpx.Response) -> tuple[int, int]:
    """First byte (0 where none is named) and size of the whole, of a whole or partial answer or a refused range."""
    found = _SPAN.fullmatch(response.headers.get("content-range", ""))
    if found is None:
        return 0, int(response.headers.get("content-length", -1))
    return int(found[1] or 0), int(found[2])
