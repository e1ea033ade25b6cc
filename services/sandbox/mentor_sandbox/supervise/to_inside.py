"""Server. The server's mouth: everything that a child is told goes out through here, as frames of ``marshal``.

What is told may hold the caller's code and arguments. It holds nothing of the server's, and no other caller's.
"""

from __future__ import annotations

import marshal
from pathlib import Path
from typing import Any

from mentor_sandbox.supervise.limits import Limits
from mentor_sandbox.wire.frames import frame


def request(role: dict[str, Any], scratch: Path, limits: Limits) -> bytes:
    """A child's first frame: ``role`` names its role and holds what that needs, the rest every child needs."""
    return frame(
        marshal.dumps(
            {
                **role,
                "scratch": str(scratch),
                "cpu_s": limits.timeout_s,
                "memory_bytes": limits.memory_bytes,
                "ports": limits.ports,
                "environment": limits.environment,
            }
        )
    )


def calls(numbered: list[tuple[int, dict[str, Any]]]) -> bytes:
    """Calls for a worker: each the number of a tool in its list, and the arguments."""
    return frame(marshal.dumps(numbered))


def cell(nonce: int, code: str, number: int) -> bytes:
    """A cell for a session."""
    return frame(marshal.dumps({"nonce": nonce, "code": code, "number": number}))
