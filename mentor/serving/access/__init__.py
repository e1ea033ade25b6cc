"""Who may call a service, and how much: one answer for REST and gRPC.

Callers are known by an API key (one for all, or one per client in a file) or by an OpenID Connect token; limits of rate and
concurrency count per caller. Without any of these settings every caller is admitted and nothing is spent.
"""

from mentor.serving.access.door import Door
from mentor.serving.access.principal import Principal

__all__ = ["Door", "Principal"]
