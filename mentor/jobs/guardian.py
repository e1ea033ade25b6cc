"""The process between a worker and a job: when the worker dies, by kill -9 too, everything the job started dies.

``python -m mentor.jobs.guardian LIFELINE -- COMMAND...``. LIFELINE is the reading end of a pipe whose writing end only the
worker holds: end-of-file on it means that the worker is gone. What comes through it are deadlines (``mentor.jobs.lease``):
once the last one has passed, the job may be another worker's, and everything dies as well. The guardian is a subreaper, so
that daemons (Ray's, a model server's) become its children when their parents leave. SIGTERM is passed on to the job, which
then stops in its own time. Exits with the job's code once nothing of the job is alive.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

from mentor.jobs.deadline import DEADLINE, clock
from mentor.jobs.processes import become_subreaper, descendants, die_with_parent, kill_until_gone

_POLL_SECONDS = 0.2


def main() -> int:
    lifeline, separator, *command = sys.argv[1:]
    assert separator == "--", "usage: guardian LIFELINE -- COMMAND..."
    become_subreaper()
    job = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent)
    signal.signal(signal.SIGTERM, lambda *_: job.send_signal(signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = _watch(job, int(lifeline))
    kill_until_gone(descendants)
    return code if code >= 0 else 128 - code


def _watch(job: subprocess.Popen[bytes], lifeline: int) -> int:
    """Wait for the job's end, the worker's, or the lease's; returns the job's exit code (-9 if not the job's)."""
    deadline = float("inf")
    while True:
        readable, _, _ = select.select([lifeline], [], [], _POLL_SECONDS)
        if readable:
            said = os.read(lifeline, 512 * DEADLINE.size)
            if not said:
                return -signal.SIGKILL
            (deadline,) = DEADLINE.unpack(said[-DEADLINE.size :])
        if clock() >= deadline:
            print("the lease was not renewed in time: killed", file=sys.stderr, flush=True)
            return -signal.SIGKILL
        code = job.poll()
        if code is not None:
            return code


if __name__ == "__main__":
    sys.exit(main())
