"""The process in which a job's handler runs: ``python -m mentor.jobs.runner HANDLER JOB_ID FENCE``.

It reports to Redis itself; how it ended it writes as the last line of its report descriptor, for the worker.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from mentor.errors import MentorError
from mentor.jobs import policy
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.handler import JobContext, Stopped, load_handler, parse_spec
from mentor.jobs.lease import ANSWER_SECONDS, patiently
from mentor.jobs.model import Claim, Job
from mentor.jobs.ownership import submitter_of
from mentor.jobs.references import resolve
from mentor.jobs.settings import JobSettings
from mentor.jobs.store import JobStore, LeaseLostError
from mentor.rpc.context import TRACE_HEADER, TRACE_VARIABLE, request_id, traceparent
from mentor.rpc.principal import caller
from mentor.rpc.tracing import configure_tracing, server_span

REPORT_VARIABLE = "MENTOR_JOB_REPORT"


def main() -> int:
    handler_path, job_id, fence = sys.argv[1:]
    report = open(os.environ[REPORT_VARIABLE], "w")  # noqa: SIM115 - lives as long as the process
    outcome = run(handler_path, job_id, int(fence))
    report.write(json.dumps(outcome))
    report.close()
    return 0 if outcome["status"] == "succeeded" else 1


def run(handler_path: str, job_id: str, fence: int) -> dict[str, Any]:
    """Run the handler; returns ``status`` (succeeded, failed, stopped, lost) with result or error."""
    settings = JobSettings()
    store = JobStore(settings.redis_url, prefix=settings.prefix, lease_s=settings.lease_s, answer_s=ANSWER_SECONDS)
    files = ArtifactStore(settings.store)
    try:
        job = patiently(lambda: store.get(job_id))
        context = JobContext(Claim(job=job, fence=fence), store, files)
        context.listen_for_stop()
        caller.set(submitter_of(job))
        outcome = _outcome(handler_path, context, store, files, job)
        context.flush()
    except Stopped:
        return {"status": "stopped"}
    except LeaseLostError:
        return {"status": "lost"}
    except MentorError as error:
        return {"status": "failed", "error": str(error), "detail": error.detail}
    return outcome


def _outcome(handler_path: str, context: JobContext, store: JobStore, files: ArtifactStore, job: Job) -> dict[str, Any]:
    """What the handler makes of the job; raises ``Stopped`` and ``LeaseLostError``."""
    try:
        request_id.set(context.request_id)  # calls to sandbox, retriever and models carry the submitter's id
        handler = load_handler(handler_path)
        policy.check(parse_spec(handler, job.spec))
        configure_tracing(f"{job.kind}-job")
        with server_span(f"job {job.kind}", {TRACE_HEADER: os.environ.get(TRACE_VARIABLE, "")}):
            os.environ[TRACE_VARIABLE] = traceparent.get()  # for the processes that the handler starts
            spec = parse_spec(handler, patiently(lambda: resolve(job.spec, store, files)))
            return {"status": "succeeded", "result": handler.run(spec, context)}
    except (Stopped, LeaseLostError):
        raise
    except MentorError as error:  # an InfrastructureError too: the handler has waited and tried again as long as it may
        return {"status": "failed", "error": str(error), "detail": error.detail}
    except (
        Exception
    ) as error:  # the boundary of a job: whatever a handler raises is its failure, with a trace in the log
        traceback.print_exc()
        return {"status": "failed", "error": f"{type(error).__name__}: {error}".splitlines()[0]}


if __name__ == "__main__":
    sys.exit(main())
