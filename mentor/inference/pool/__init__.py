"""Several endpoints that serve one model: routing, circuit breakers, and a concurrency that finds what each bears."""

from mentor.inference.pool.pool import EndpointPool, Member

__all__ = ["EndpointPool", "Member"]
