"""Gathers what jobs have committed: round after round, in a thread of its own, which alone writes the index.

Whose jobs: those that the console's own key may see, if it has one, and those of its readers, with the keys of their
sessions, for as long as they come. It holds no more power than they do.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from mentor.errors import ForbiddenError, InfrastructureError, MentorError, NotFoundError, UnauthenticatedError
from mentor.jobs.client import JobClient
from mentor.jobs.model import MAX_LIST, Artifact, Job
from mentor_console.index.fetched import Fetched, unpack, wanted
from mentor_console.index.ingest import Writing, ingest, ingest_questions
from mentor_console.index.leaving import drop, keep_within, measured
from mentor_console.index.schema import connect
from mentor_console.settings import JOB_SERVICES, ConsoleSettings

log = structlog.get_logger("index")
_READER_S = 3600.0
"""How long a reader's key is used after the last page that the reader looked at."""
_OUTAGE_S = 5.0
_AHEAD = 2
"""Of what is wanted: an artefact, and the job's end before it."""
ARRIVING = "arriving"
_Wanted = tuple[Job, Artifact | None]


class Gatherer:
    """One round at a time. ``own`` is the console's own authorization; "" where services ask for none, None: it has none."""

    def __init__(self, settings: ConsoleSettings, own: str | None, registry: CollectorRegistry) -> None:
        self._settings, self._own = settings, own
        self._readers: dict[str, float] = {}
        self._lock = threading.Lock()
        self.problems: dict[str, str] = {}
        """By service: why its jobs could not be gathered in the last round."""
        self._files = settings.cache / "files"
        self._through: set[str] = set()
        shutil.rmtree(self._files / ARRIVING, ignore_errors=True)
        self._rows = Gauge("mentor_console_trajectories", "Trajectories in the index", registry=registry)
        self._lines = Counter("mentor_console_indexed_lines", "Lines read into the index", registry=registry)

    def seen(self, authorization: str) -> None:
        """Somebody reads: gather what they may see too."""
        with self._lock:
            self._readers[authorization] = time.monotonic()

    def through(self, authorization: str) -> bool:
        """Whether everything that a reader may see has been looked through once since the console started."""
        return authorization in self._through or self._own in self._through

    def round(self) -> None:
        """Fetch and index whatever is new; forget jobs that are no more."""
        connection = connect(self._settings.cache, writes=True)
        try:
            for authorization in self._authorizations():
                for service in JOB_SERVICES:
                    self._of_service(connection, service, authorization)
                self._through.add(authorization)
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
            for job, artifact, coming in self._ahead(client, self._wanted(connection, client, service, jobs)):
                if artifact is not None and coming is not None:
                    self._take(connection, job, artifact, coming)
                    continue
                _mark(connection, job.id, "", _state(job), None)
                keep_within(connection, self._settings.cache, self._settings.cache_gb, self._folder)
            keep_within(connection, self._settings.cache, self._settings.cache_gb, self._folder)
            self._forget_gone(connection, client, service, {job.id for job in jobs})
            self.problems.pop(service, None)
        except (UnauthenticatedError, ForbiddenError):
            with self._lock:  # a key that was withdrawn
                self._readers.pop(authorization, None)
        except InfrastructureError as error:
            self.problems[service] = error.message
        finally:
            client.close()

    def _wanted(
        self, connection: sqlite3.Connection, client: JobClient, service: str, jobs: list[Job]
    ) -> Iterator[_Wanted]:
        """What is to be fetched of jobs, the oldest first (ids grow with time); None in an artefact's place: a job's end."""
        for job in reversed(jobs):
            if job.started_at is None:
                continue
            done = dict(connection.execute("SELECT artifact, sha256 FROM done WHERE job = ?", (job.id,)).fetchall())
            left, known = _left_under(connection, job.id), done.get("") == _state(job)
            full = left is not None and left >= self._settings.cache_gb
            if (job.state.final and known and (full or left is None)) or (full and not job.state.final):
                continue
            _remember(connection, service, job)
            done = {} if left is not None else done
            try:
                artifacts = client.artifacts(job.id)
            except NotFoundError:
                continue  # it went while we looked
            yield from ((job, one) for one in artifacts if wanted(one) and done.get(one.name) != one.sha256)
            if job.state.final:
                yield job, None

    def _ahead(
        self, client: JobClient, works: Iterator[_Wanted]
    ) -> Iterator[tuple[Job, Artifact | None, Future[Path] | None]]:
        """Fetches the next artefact while one is read: half of the time goes into either."""
        with ThreadPoolExecutor(1, thread_name_prefix="fetch") as fetching:
            waiting: deque[tuple[Job, Artifact | None, Future[Path] | None]] = deque()
            for job, artifact in works:
                coming = None
                if artifact is not None:
                    coming = fetching.submit(client.fetch, job.id, artifact.name, self._arriving(job, artifact))
                waiting.append((job, artifact, coming))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft()
            yield from waiting

    def _take(self, connection: sqlite3.Connection, job: Job, artifact: Artifact, coming: Future[Path]) -> None:
        """One artefact, whole; what an earlier version of it held goes when it has come."""
        folder = self._folder(job.id) / blake2b(artifact.name.encode(), digest_size=6).hexdigest()
        problem = None
        try:
            download = coming.result()
            drop(connection, self._settings.cache, job.id, artifact.name)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with Writing(connection) as writing:
                for fetched in unpack(job, artifact, download, folder):
                    self._index(writing, job, artifact, fetched)
        except (InfrastructureError, sqlite3.Error):
            raise
        except (MentorError, OSError, ValueError) as error:
            problem = str(error)
            log.warning("an artefact was not indexed", job=job.id, artifact=artifact.name, reason=problem)
        measured(connection, job.id, self._folder(job.id))
        _mark(connection, job.id, artifact.name, artifact.sha256, problem)

    def _index(self, writing: Writing, job: Job, artifact: Artifact, fetched: Fetched) -> None:
        found = writing.connection.execute(
            "INSERT INTO files (job, artifact, sha256, member, path, content) VALUES (?, ?, ?, ?, ?, ?)",
            (job.id, artifact.name, artifact.sha256, fetched.member,
             str(fetched.path.relative_to(self._settings.cache)), fetched.content),
        )  # fmt: skip
        number = int(found.lastrowid or 0)
        if fetched.content == "questions":
            ingest_questions(writing, fetched.path, number, job.id)
        else:
            self._lines.inc(ingest(writing, fetched.path, number, fetched.origin))

    def _forget_gone(self, connection: sqlite3.Connection, client: JobClient, service: str, listed: set[str]) -> None:
        """Jobs that the service no longer has leave index and disk. Only the console's own key can tell that."""
        if client.authorization != self._own:
            return
        known = [row[0] for row in connection.execute("SELECT job FROM jobs WHERE service = ?", (service,))]
        for job in known:
            if job not in listed and _gone(client, job):
                drop(connection, self._settings.cache, job, None)
                shutil.rmtree(self._folder(job), ignore_errors=True)

    def _folder(self, job: str) -> Path:
        return self._files / blake2b(job.encode(), digest_size=10).hexdigest()

    def _arriving(self, job: Job, artifact: Artifact) -> Path:
        """Where a download comes to; one that broke off goes on from there in the next round."""
        return self._files / ARRIVING / blake2b(f"{job.id}/{artifact.name}".encode(), digest_size=10).hexdigest()


def gathered(connection: sqlite3.Connection, job: Job) -> bool:
    """Whether everything is in the index that a job has committed by its end; nothing is awaited of one that never began."""
    found = connection.execute("SELECT sha256 FROM done WHERE job = ? AND artifact = ''", (job.id,)).fetchone()
    return job.started_at is None or not job.state.final or (found is not None and found[0] == _state(job))


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


def _remember(connection: sqlite3.Connection, service: str, job: Job) -> None:
    """Note a job as it is now."""
    connection.execute(
        "INSERT INTO jobs (job, service, kind, created, ended, spec) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (job) DO UPDATE"
        " SET ended = excluded.ended, spec = excluded.spec, let_go = NULL",
        (job.id, service, job.kind, job.created_at, job.finished_at, job.model_dump_json(include={"spec"})),
    )


def _left_under(connection: sqlite3.Connection, job: str) -> float | None:
    """How many GB the cache was allowed when a job's trajectories had to leave it; None where they did not."""
    found = connection.execute("SELECT let_go FROM jobs WHERE job = ?", (job,)).fetchone()
    return None if found is None or found[0] is None else float(found[0])
