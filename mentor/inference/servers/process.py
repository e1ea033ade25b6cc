"""One life of a model server: a process under a guardian, which ends with everything it started."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mentor.inference.servers.command import MARK_VARIABLE
from mentor.jobs.processes import carrying, kill_until_gone

_KILL_SECONDS = 25.0
_TAIL_BYTES = 64 * 1024
_REASON = re.compile(r"((?:\w+\.)*\w*(?:Error|Exception)|\b[Ee]rror|mentor_model): .+")
_NOT_THE_CAUSE = ("Engine core initialization failed", "usage:")


class ServerProcess:
    """A started server.

    Its guardian (``mentor.jobs.guardian``) kills what is left of it when the server ends, when it is told to, and when
    this process dies, by kill -9 too. What outlives even a killed guardian is found by a mark in its environment.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._mark = environment[MARK_VARIABLE]
        reading, self._lifeline = os.pipe()
        try:
            with log.open("ab") as output:
                self._guardian = subprocess.Popen(
                    [sys.executable, "-m", "mentor.jobs.guardian", str(reading), "--", *command],
                    env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                    pass_fds=(reading,), start_new_session=True,
                )  # fmt: skip
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(reading)

    def poll(self) -> int | None:
        """The server's exit code (above 128: a signal), or None while it runs."""
        return self._guardian.poll()

    def stop(self, grace_s: float) -> None:
        """End it: SIGTERM, after ``grace_s`` SIGKILL of everything it started. Nothing of it is alive afterwards."""
        if grace_s and self._guardian.poll() is None:
            self._guardian.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guardian.wait(grace_s)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guardian.wait(_KILL_SECONDS)
        kill_until_gone(lambda: carrying(MARK_VARIABLE, self._mark))
        self._guardian.wait()


def tail(log: Path, secret: str, lines: int = 40) -> list[str]:
    """The last lines of a log, without the server's key."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.replace(secret, "***") for line in text.splitlines() if line.strip()][-lines:]


def reason(lines: Sequence[str]) -> str:
    """The line of a log's tail that says best why a server ended: its last error, else its last line."""
    errors = [found.group(0) for line in lines if (found := _REASON.search(line))]
    causes = [error for error in errors if not any(phrase in error for phrase in _NOT_THE_CAUSE)]
    best = (causes or errors or list(lines) or ["it said nothing"])[-1]
    return best.strip()[:500]
