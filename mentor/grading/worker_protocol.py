"""What the math judge and its zygote say to each other."""

from __future__ import annotations

import struct

REQUEST = struct.Struct("!cI")
"""``F``: fork a worker on the socket that comes along, at the niceness given. ``K``: kill the worker of this process id."""
REPLY = struct.Struct("!I")
"""A process id; the zygote's own once it is ready."""
