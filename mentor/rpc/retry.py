"""Retries of calls that fail for reasons of ours: exponential back-off with full jitter, within one deadline."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from mentor.errors import InfrastructureError, OverloadedError

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """Seconds throughout. ``deadline_s`` bounds all attempts and the waits between them together; ``attempts`` is a cap."""

    attempts: int = 1000
    backoff_s: float = 0.1
    max_backoff_s: float = 5.0
    deadline_s: float = 60.0


async def with_retries(attempt: Callable[[float], Awaitable[T]], policy: RetryPolicy) -> T:
    """Run ``attempt(seconds_left)`` until it returns, its failure is not ours, or the policy is used up.

    Raises:
        InfrastructureError: the last one, with the number of attempts made.
        MentorError: any other kind, at once.
    """
    until = time.monotonic() + policy.deadline_s
    for number in range(1, policy.attempts + 1):
        try:
            return await attempt(max(0.001, until - time.monotonic()))
        except InfrastructureError as error:
            wait = backoff_s(error, number, policy)
            if number == policy.attempts or time.monotonic() + wait >= until:
                error.message = f"{error.message} (gave up after {number} attempts)"
                error.args = (error.message,)
                raise
        await asyncio.sleep(wait)
    raise AssertionError("a policy has at least one attempt")


def backoff_s(error: InfrastructureError, number: int, policy: RetryPolicy) -> float:
    """Seconds to wait after the ``number``th failure: exponential with jitter, and no less than the server asks for."""
    jittered = random.uniform(0.5, 1.0) * min(policy.max_backoff_s, policy.backoff_s * 2.0 ** (number - 1))
    asked = error.retry_after if isinstance(error, OverloadedError) else 0.0
    return max(jittered, asked)
