"""Jobs and events as Redis holds them: strings, to and from what everybody sees."""

from __future__ import annotations

import json
from typing import Any

from mentor.jobs.model import Job, JobEvent

_NUMBERS = ("created_at", "started_at", "finished_at", "progress")
_INTEGERS = ("attempt", "fence", "lapses", "schema_version")
_JSON = ("spec", "result", "metrics")


def text_of(value: Any) -> str:
    """A value as a field holds it."""
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def event_of(name: str, fields: dict[str, str]) -> JobEvent:
    """An entry of the event stream."""
    sequence = int(name.split("-", 1)[0])
    return JobEvent(sequence=sequence, time=float(fields["time"]), type=fields["type"], data=json.loads(fields["data"]))


def job_of(fields: dict[str, str]) -> Job:
    """A job from its hash."""
    known: dict[str, Any] = {k: v for k, v in fields.items() if k in Job.model_fields and v != ""}
    known |= {k: float(known[k]) for k in _NUMBERS if k in known}
    known |= {k: int(known[k]) for k in _INTEGERS if k in known}
    known |= {k: json.loads(known[k]) for k in _JSON if k in known}
    return Job.model_validate(known)
