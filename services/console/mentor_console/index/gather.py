"""Gathers what jobs have committed: round after round, in a thread of its own, which alone writes the index.

Whose jobs: those that the console's own key may see, if it has one, and those of its readers, with the keys of their
sessions, for as long as they come. It holds no more power than they do.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from mentor.errors import ForbiddenError, InfrastructureError, MentorError, NotFoundError, UnauthenticatedError
from mentor.jobs.client import JobClient
from mentor.jobs.model import MAX_LIST, Artifact, Job
from mentor_console.index.fetched import Fetched, unpack, wanted
from mentor_console.index.ingest import ingest, ingest_questions
from mentor_console.index.schema import connect
from mentor_console.settings import JOB_SERVICES, ConsoleSettings

log = structlog.get_logger("index")
_READER_S = 3600.0
"""How long a reader's key is used after the last page that the reader looked at."""
_OUTAGE_S = 5.0


class Gatherer:
    """One round at a time. ``own`` is the console's own authorization; "" where services ask for none, None: it has none."""

    def __init__(self, settings: ConsoleSettings, own: str | None, registry: CollectorRegistry) -> None:
        self._settings, self._own = settings, own
        self._readers: dict[str, float] = {}
        self._lock = threading.Lock()
        self.problems: dict[str, str] = {}
        """By service: why its jobs could not be gathered in the last round."""
        self._files = settings.cache / "files"
        self._rows = Gauge("mentor_console_trajectories", "Trajectories in the index", registry=registry)
        self._lines = Counter("mentor_console_indexed_lines", "Lines read into the index", registry=registry)

    def seen(self, authorization: str) -> None:
        """Somebody reads: gather what they may see too."""
        with self._lock:
            self._readers[authorization] = time.monotonic()

    def round(self) -> None:
        """Fetch and index whatever is new; forget jobs that are no more."""
        connection = connect(self._settings.cache)
        try:
            for authorization in self._authorizations():
                for service in JOB_SERVICES:
                    self._of_service(connection, service, authorization)
            self._rows.set(connection.execute("SELECT count(*) FROM trajectories").fetchone()[0])
        finally:
            connection.close()

    def _authorizations(self) -> list[str]:
        now = time.monotonic()
        with self._lock:
            self._readers = {reader: last for reader, last in self._readers.items() if now - last < _READER_S}
            readers = list(self._readers)
        return list(dict.fromkeys(readers if self._own is None else [self._own, *readers]))

    def _of_service(self, connection: sqlite3.Connection, service: str, authorization: str) -> None:
        client = JobClient(self._settings.url(service), outage_s=_OUTAGE_S, authorization=authorization)
        try:
            jobs = client.newest(MAX_LIST)
            for job in reversed(jobs):  # the oldest first: ids grow with time
                self._of_job(connection, client, service, job)
            self._forget_gone(connection, client, service, {job.id for job in jobs})
            self.problems.pop(service, None)
        except (UnauthenticatedError, ForbiddenError):
            with self._lock:  # a key that was withdrawn
                self._readers.pop(authorization, None)
        except InfrastructureError as error:
            self.problems[service] = error.message
        finally:
            client.close()

    def _of_job(self, connection: sqlite3.Connection, client: JobClient, service: str, job: Job) -> None:
        if job.started_at is None:
            return
        done = dict(connection.execute("SELECT artifact, sha256 FROM done WHERE job = ?", (job.id,)).fetchall())
        if job.state.final and done.get("") == _state(job):
            return
        connection.execute(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?)",
            (job.id, service, job.kind, job.created_at, job.model_dump_json(include={"spec"})),
        )
        try:
            for artifact in client.artifacts(job.id):
                if wanted(artifact) and done.get(artifact.name) != artifact.sha256:
                    self._take(connection, client, job, artifact)
        except NotFoundError:
            return  # it went while we looked
        if job.state.final:
            _mark(connection, job.id, "", _state(job), None)

    def _take(self, connection: sqlite3.Connection, client: JobClient, job: Job, artifact: Artifact) -> None:
        """One artefact, whole; what an earlier version of it held goes first."""
        folder = self._folder(job.id) / blake2b(artifact.name.encode(), digest_size=6).hexdigest()
        _drop(connection, job.id, artifact.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        problem = None
        try:
            download = client.fetch(job.id, artifact.name, folder / "download")
            for fetched in unpack(job, artifact, download, folder):
                self._index(connection, job, artifact, fetched)
        except (InfrastructureError, sqlite3.Error):
            raise
        except (MentorError, OSError, ValueError) as error:
            problem = str(error)
            log.warning("an artefact was not indexed", job=job.id, artifact=artifact.name, reason=problem)
        _mark(connection, job.id, artifact.name, artifact.sha256, problem)

    def _index(self, connection: sqlite3.Connection, job: Job, artifact: Artifact, fetched: Fetched) -> None:
        found = connection.execute(
            "INSERT INTO files (job, artifact, sha256, member, path, content) VALUES (?, ?, ?, ?, ?, ?)",
            (job.id, artifact.name, artifact.sha256, fetched.member,
             str(fetched.path.relative_to(self._settings.cache)), fetched.content),
        )  # fmt: skip
        number = int(found.lastrowid or 0)
        if fetched.content == "questions":
            ingest_questions(connection, fetched.path, number, job.id)
        else:
            self._lines.inc(ingest(connection, fetched.path, number, fetched.origin))

    def _forget_gone(self, connection: sqlite3.Connection, client: JobClient, service: str, listed: set[str]) -> None:
        """Jobs that the service no longer has leave index and disk. Only the console's own key can tell that."""
        if client.authorization != self._own:
            return
        known = [row[0] for row in connection.execute("SELECT job FROM jobs WHERE service = ?", (service,))]
        for job in known:
            if job not in listed and _gone(client, job):
                _drop(connection, job, None)
                shutil.rmtree(self._folder(job), ignore_errors=True)

    def _folder(self, job: str) -> Path:
        return self._files / blake2b(job.encode(), digest_size=10).hexdigest()


def _gone(client: JobClient, job: str) -> bool:
    try:
        client.get(job)
    except NotFoundError:
        return True
    return False


def _state(job: Job) -> str:
    """Changes when the job ends anew: a resumed job may commit again."""
    return f"{job.state}/{job.finished_at}"


def _mark(connection: sqlite3.Connection, job: str, artifact: str, sha256: str, problem: str | None) -> None:
    connection.execute("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?)", (job, artifact, sha256, problem))


def _drop(connection: sqlite3.Connection, job: str, artifact: str | None) -> None:
    """Take an artefact, or (None) a whole job, out of the index."""
    of = "job = ?" if artifact is None else "job = ? AND artifact = ?"
    values = (job,) if artifact is None else (job, artifact)
    connection.execute("BEGIN IMMEDIATE")
    for file in _numbers(connection, of, values):
        connection.execute("DELETE FROM trajectories WHERE file = ?", (file,))
        connection.execute("DELETE FROM questions WHERE file = ?", (file,))
        connection.execute("DELETE FROM files WHERE file = ?", (file,))
    connection.execute(f"DELETE FROM done WHERE {of}", values)
    if artifact is None:
        connection.execute("DELETE FROM jobs WHERE job = ?", (job,))
    connection.execute("COMMIT")


def _numbers(connection: sqlite3.Connection, of: str, values: tuple[str, ...]) -> Iterator[int]:
    yield from [row[0] for row in connection.execute(f"SELECT file FROM files WHERE {of}", values)]
