"""The process between a worker and a job: when the worker dies, by kill -9 too, everything the job started dies.

``python -m mentor.jobs.guardian LIFELINE -- COMMAND...``. LIFELINE is the reading end of a pipe whose writing end only the
worker holds: end-of-file on it means that the worker is gone. The guardian is a subreaper, so that daemons (Ray's, a
model server's) become its children when their parents leave. SIGTERM is passed on to the job, which then stops in its
own time. Exits with the job's code once nothing of the job is alive.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

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
    """Wait for the job's end or the worker's; returns the job's exit code (-9 if the worker's)."""
    while True:
        try:
            readable, _, _ = select.select([lifeline], [], [], _POLL_SECONDS)
        except InterruptedError:
            continue
        if readable and os.read(lifeline, 1) == b"":
            return -signal.SIGKILL
        code = job.poll()
        if code is not None:
            return code


if __name__ == "__main__":
    sys.exit(main())
