"""References in a spec, so that jobs are chained and fed without sharing paths.

``artifact:JOB/NAME`` names what another job has committed, ``file:DIGEST/NAME`` what a client uploaded.
"""

from __future__ import annotations

from typing import Any

from mentor.errors import NotFoundError, UserError
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.model import ARTIFACT_SCHEME, Artifact
from mentor.jobs.ownership import visible
from mentor.jobs.store import JobStore
from mentor.jobs.uploads import SCHEME as FILE_SCHEME
from mentor.jobs.uploads import Uploads


def resolve(value: Any, store: JobStore, files: ArtifactStore, field: str = "spec") -> Any:
    """A spec with every reference replaced by a local path.

    Raises:
        UserError: no such job, artefact or file of the caller's, naming the field.
    """
    if isinstance(value, dict):
        return {k: resolve(v, store, files, f"{field}.{k}" if field != "spec" else k) for k, v in value.items()}
    if isinstance(value, list):
        return [resolve(v, store, files, f"{field}.{n}") for n, v in enumerate(value)]
    if isinstance(value, str) and value.startswith(FILE_SCHEME):
        return str(Uploads(files).path(value, field))
    if not isinstance(value, str) or not value.startswith(ARTIFACT_SCHEME):
        return value
    job_id, slash, name = value.removeprefix(ARTIFACT_SCHEME).partition("/")
    if not slash or not name:
        raise UserError(f"{field}: {value!r} is no artefact reference", field=field, allowed="artifact:JOB/NAME")
    known = _committed(job_id, store)
    if name not in known:
        allowed = ", ".join(known) or "none are committed"
        raise UserError(f"{field}: job {job_id} has no artefact {name!r}", field=field, allowed=allowed)
    return str(files.open_path(known[name]))


def is_reference(value: str) -> bool:
    """Whether it names a file of the store rather than a path."""
    return value.startswith((ARTIFACT_SCHEME, FILE_SCHEME))


def _committed(job_id: str, store: JobStore) -> dict[str, Artifact]:
    """Artefacts by name: none of a job that is somebody else's, as of one that does not exist."""
    try:
        seen = visible(store.get(job_id))
    except NotFoundError:
        seen = False
    return {artifact.name: artifact for artifact in store.artifacts(job_id)} if seen else {}
