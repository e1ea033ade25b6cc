"""Who may call a service, and how much: one answer for REST and gRPC.

Callers are known by an API key (the operators', or one per client in a file) or by an OpenID Connect token, and have roles;
limits of rate and concurrency count per caller. Without any of these settings every caller is admitted as an operator, and
nothing is spent.
"""

from mentor.serving.access.door import Door
from mentor.serving.access.table import RoleTable

__all__ = ["Door", "RoleTable"]
