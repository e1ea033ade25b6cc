"""How job state reaches Redis: with how much patience, and what it says when Redis is away."""

from __future__ import annotations

from typing import Any, Final

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from mentor.errors import InfrastructureError, UserError

_FAILURES: Final = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError)


def connect(url: str, answer_s: float | None) -> redis.Redis:
    """A client.

    Args:
        answer_s: seconds within which Redis must answer; None: tried again for 11 s where connections are refused, and
            for 101 s where nothing answers.

    Raises:
        UserError: the URL is malformed.
    """
    patience = _patient() if answer_s is None else _impatient(answer_s)
    try:
        return redis.Redis.from_url(url, protocol=2, decode_responses=True, **patience)
    except ValueError as error:
        raise UserError(f"{url!r}: {error}", field="redis_url", allowed="redis://... or unix:///path") from error


def _patient() -> dict[str, Any]:
    retry = Retry(ExponentialBackoff(cap=2.0, base=0.1), retries=8)
    return {"retry": retry, "retry_on_error": list(_FAILURES), "socket_timeout": 10.0}


def _impatient(answer_s: float) -> dict[str, Any]:
    """Again only where a connection has broken since it was last used."""
    retry = Retry(NoBackoff(), retries=1, supported_errors=(redis.ConnectionError,))
    return {"retry": retry, "socket_timeout": answer_s, "socket_connect_timeout": answer_s}


def unreachable(error: redis.RedisError) -> InfrastructureError:
    """The error for callers."""
    return InfrastructureError(f"Redis: {error}")
