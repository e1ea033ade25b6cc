"""Room for connections: every trajectory in flight may hold one, and a process may open 1,024 files unless it asks for more."""

from __future__ import annotations

import resource

from mentor.errors import UserError

_SPARE = 256
"""For everything else that a job has open."""


def make_room(concurrency: int) -> None:
    """Let this process hold a connection for each of so many trajectories.

    Raises:
        UserError: the machine allows fewer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = concurrency + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise UserError(
                f"{concurrency} trajectories in flight need {wanted} open files",
                field="concurrency",
                allowed=f"at most {hard - _SPARE} here (ulimit -Hn)",
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
