"""Client of a job service's REST API: submit, watch with progress, fetch artefacts."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from mentor.errors import InfrastructureError, NotFoundError, UserError
from mentor.jobs.archive import content_of
from mentor.jobs.artifacts import measure
from mentor.jobs.download import Download
from mentor.jobs.model import Artifact, Job
from mentor.jobs.uploads import SCHEME as FILE_SCHEME
from mentor.rpc.context import outgoing
from mentor.rpc.errors import from_http

OUTAGE_SECONDS = 60.0
_POLL_SECONDS = 0.5
_UPLOAD_SECONDS = 600.0
_MOST_SHARED = 2 * 1024**3


class JobClient:
    """Talks to one service. Reads survive ``outage_s`` seconds without an answer (a restart); submissions do too,
    because they carry an idempotency key.

    Every method raises ``InfrastructureError`` when the service stays away, and the service's own typed errors.

    Args:
        authorization: sent in place of this process's own key: for who acts on behalf of somebody else.
    """

    def __init__(self, url: str, *, outage_s: float = OUTAGE_SECONDS, authorization: str = "") -> None:
        self.url = url.rstrip("/")
        self._outage_s = outage_s
        self.authorization = authorization
        auth = _Bearer(authorization) if authorization else None
        self._http = httpx.Client(base_url=self.url, timeout=30.0, trust_env=False, auth=auth)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _call(
        self,
        method: str,
        path: str,
        *,
        retry: bool = True,
        stream: Callable[[], Iterator[bytes]] | None = None,
        **arguments: Any,
    ) -> httpx.Response:
        """``stream`` makes the body anew for every attempt."""
        until = time.monotonic() + (self._outage_s if retry else 0)
        while True:
            if stream is not None:
                arguments["content"] = stream()
            try:
                response = self._http.request(method, path, headers=outgoing(), **arguments)
            except httpx.HTTPError as error:
                failure: Exception = InfrastructureError(f"cannot reach {self.url}: {error or type(error).__name__}")
            else:
                if response.status_code < 400:
                    return response
                failure = from_http(response)
                if not isinstance(failure, InfrastructureError):
                    raise failure
            if time.monotonic() >= until:
                raise failure
            time.sleep(_POLL_SECONDS)

    def submit(self, kind: str, spec: dict[str, Any], key: str | None = None) -> Job:
        """Submit a job; without a key it is not tried again, lest it run twice."""
        body = {"kind": kind, "spec": spec, "idempotency_key": key}
        return Job.model_validate(self._call("POST", "/v1/jobs", retry=key is not None, json=body).json())

    def schema(self, kind: str) -> dict[str, Any]:
        """The JSON schema of a kind's spec, as the service reads it; not tried again."""
        schema: dict[str, Any] = self._call("GET", f"/v1/kinds/{kind}/schema", retry=False).json()
        return schema

    def upload(self, path: Path) -> str:
        """Send a file or folder, unless the service has it already; returns the reference for a spec.

        Raises:
            UserError: it does not exist.
        """
        if not path.exists():
            raise UserError(f"{path} does not exist", field="path", allowed="a file or folder")
        _, digest = measure(path)
        reference = f"{FILE_SCHEME}{digest}/{path.name}"
        try:
            self._call("HEAD", f"/v1/files/{digest}/{path.name}")
        except NotFoundError:
            self._send(path)
        return reference

    def share(self, path: str) -> str:
        """A reference that every service can read; a path that is not here, or is too large to send, stays as it is."""
        local = Path(path)
        return path if not local.exists() or _size(local) > _MOST_SHARED else self.upload(local)

    def _send(self, path: Path) -> None:
        body = content_of(path)
        parameters = {"name": path.name, "folder": str(path.is_dir()).lower()}
        self._call(
            "POST", "/v1/files", params=parameters, stream=lambda: body.read(0, body.size), timeout=_UPLOAD_SECONDS
        )

    def get(self, job_id: str) -> Job:
        """A job's present state."""
        return Job.model_validate(self._call("GET", f"/v1/jobs/{job_id}").json())

    def newest(self, limit: int = 50) -> list[Job]:
        """Jobs, newest first."""
        rows = self._call("GET", "/v1/jobs", params={"limit": limit}).json()["jobs"]
        return [Job.model_validate(row) for row in rows]

    def cancel(self, job_id: str) -> Job:
        """Stop a job."""
        return Job.model_validate(self._call("POST", f"/v1/jobs/{job_id}/cancel", retry=False).json())

    def resume(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again."""
        return Job.model_validate(self._call("POST", f"/v1/jobs/{job_id}/resume", retry=False).json())

    def logs(self, job_id: str, tail: int = 1000) -> str:
        """The end of its output."""
        return self._call("GET", f"/v1/jobs/{job_id}/logs", params={"tail": tail}).text

    def artifacts(self, job_id: str) -> list[Artifact]:
        """What it has committed."""
        rows = self._call("GET", f"/v1/jobs/{job_id}/artifacts").json()["artifacts"]
        return [Artifact.model_validate(row) for row in rows]

    def fetch(self, job_id: str, name: str, target: Path) -> Path:
        """Download an artefact, going on where an earlier call stopped; a folder comes as a tar file.

        Raises:
            NotFoundError: the job has not committed it.
        """
        known = {artifact.name: artifact for artifact in self.artifacts(job_id)}
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise NotFoundError(f"job {job_id} has no artefact {name!r}", field="name", allowed=allowed)
        path = f"/v1/jobs/{job_id}/artifacts/{quote(name)}"
        return Download(self._http, path, known[name], target, self._outage_s).run()

    def wait(self, job_id: str, on_change: Callable[[Job], None] = lambda job: None) -> Job:
        """Follow a job to its end; ``on_change`` is called on every look."""
        while True:
            job = self.get(job_id)
            on_change(job)
            if job.state.final:
                return job
            time.sleep(_POLL_SECONDS)


class _Bearer(httpx.Auth):
    """The last word on a request's authorization, whatever this process would send."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = self._authorization
        yield request


def _size(path: Path) -> int:
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size
