"""What a process needs that has many trajectories in flight: room for their connections, and short pauses.

Each may hold a connection, and a process may open 1,024 files unless it asks for more. A full garbage collection looks at
everything that the imports made, a tenth of a second and more in which nobody is served: what was answered meanwhile comes
at once, and stays in step from then on.
"""

from __future__ import annotations

import gc
import resource

from mentor.errors import UserError

_SPARE = 256
"""For everything else that a job has open."""


def make_ready(concurrency: int) -> None:
    """Let this process hold a connection for each of so many trajectories, and collect only what it makes from now on.

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
    gc.collect()
    gc.freeze()
