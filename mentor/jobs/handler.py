"""What a service supplies to run jobs of a kind, and what a running job is given."""

from __future__ import annotations

import importlib
import signal
import time
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ValidationError

from mentor.errors import UserError
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.model import Claim
from mentor.jobs.outbox import Outbox
from mentor.jobs.store import JobStore
from mentor.jobs.workspace import Workspace


class JobHandler(Protocol):
    """Runs jobs of one kind. An instance lives for one attempt, in a process of its own."""

    kind: ClassVar[str]
    Spec: ClassVar[type[BaseModel]]

    def validate(self, spec: Any) -> None:
        """Refuse, before the job is accepted, what can never work.

        Raises:
            UserError: naming the field and what is allowed.
        """
        ...

    def run(self, spec: Any, context: JobContext) -> dict[str, Any]:
        """Do the work and return the job's result (JSON).

        Work that was done by an earlier attempt is in ``context.workdir``. Return early, leaving resumable state
        there, when ``context.should_stop()`` turns true: raise ``Stopped``.
        """
        ...


class Stopped(Exception):
    """A job left off on request; its state is in the work folder, and another attempt can go on from it."""


class JobContext:
    """A running job's view of the world. What it reports is kept while Redis is away (``mentor.jobs.outbox``).

    Attributes:
        workdir: resumable state: what the last attempt left, in a folder that no other attempt can reach.
        attempt: counts from 1.
    """

    def __init__(self, claim: Claim, store: JobStore, files: ArtifactStore) -> None:
        self.job_id = claim.job.id
        self.attempt = claim.job.attempt
        self.fence = claim.fence
        self.request_id = claim.job.request_id or claim.job.id
        self._workspace = Workspace(files, claim.job.id, claim.fence)
        self.workdir: Path = self._workspace.take_over()
        self._files = files
        self._outbox = Outbox(store, claim.job.id, claim.job.kind, claim.fence)
        self._stop = False
        self._reported = self._fraction = 0.0
        self._message = ""
        self._metrics: dict[str, Any] = {}
        self._beside: dict[str, Any] = {}

    def listen_for_stop(self) -> None:
        """Take SIGTERM as the request to stop; to be called in the main thread."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())

    def stop(self) -> None:
        """Make ``should_stop`` true."""
        self._stop = True

    def should_stop(self) -> bool:
        """True once the worker is shutting down or the job was cancelled: save, and raise ``Stopped``."""
        return self._stop

    def progress(self, fraction: float, message: str = "", **metrics: Any) -> None:
        """Tell how far the job is. Cheap to call often: at most five reports a second leave the process.

        Raises:
            LeaseLostError: the job has passed to another worker.
        """
        fraction = min(1.0, max(0.0, fraction))
        now = time.monotonic()
        if not metrics and fraction < 1 and now - self._reported < 0.2:
            return
        self._reported, self._fraction, self._message = now, fraction, message
        self._metrics = metrics or self._metrics
        self._report(message, metrics)

    def tell(self, message: str, **metrics: Any) -> None:
        """A word from beside the work (a model server that starts), or figures: progress stays where it is.

        Its figures stand beside those of ``progress`` until they are told anew. An empty message leaves the last.

        Raises:
            LeaseLostError: the job has passed to another worker.
        """
        self._message = message or self._message
        self._beside |= metrics
        self._report(self._message, metrics)

    def _report(self, message: str, metrics: dict[str, Any]) -> None:
        data = {"fraction": self._fraction, "message": message, **({"metrics": metrics} if metrics else {})}
        fields: dict[str, Any] = {"progress": self._fraction, "message": message}
        if metrics:
            fields["metrics"] = {**self._metrics, **self._beside}
        self._outbox.record("progress", data, fields)

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter of the service (``mentor.jobs.counters``)."""
        self._outbox.count(name, labels, amount)

    def log(self, line: str, **fields: Any) -> None:
        """A line for people, as an event."""
        self._outbox.record("log", {"message": line, **fields})

    def save(self) -> None:
        """Make the work folder's state safe (an upload where the store is remote)."""
        self._workspace.save()

    def commit(self, name: str, path: Path) -> None:
        """Publish a file or folder as an artefact of the job: it counts once Redis has taken it under our lease.

        Raises:
            LeaseLostError: the job has passed to another worker.
        """
        self._outbox.commit(self._files.put(self.job_id, name, path, self.fence))

    def flush(self) -> None:
        """Wait until Redis has heard everything.

        Raises:
            LeaseLostError: the job has passed to another worker.
            Stopped: told to stop while Redis is away.
        """
        if not self._outbox.flush(self.should_stop):
            raise Stopped


def load_handler(path: str) -> JobHandler:
    """A handler by ``module:Class``; raises ``UserError`` naming what cannot be imported."""
    module, _, name = path.partition(":")
    try:
        handler: JobHandler = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"cannot load the job handler {path}: {error}", field="handler", allowed="module:Class"
        ) from error
    return handler


def parse_spec(handler: JobHandler, spec: dict[str, Any]) -> BaseModel:
    """The spec as the handler's model; raises ``UserError`` naming the field."""
    try:
        return handler.Spec.model_validate(spec)
    except ValidationError as error:
        raise spec_error(error) from error


def spec_error(error: ValidationError) -> UserError:
    """The first thing wrong with a spec, as one line that names the field."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "spec"
    if first["type"] == "extra_forbidden":
        return UserError(f"{where}: unknown field", field=where)
    return UserError(f"{where}: {first['msg'].removeprefix('Value error, ')}", field=where)
