"""The unbiased pass@k estimator (Chen et al. 2021, section 2.1)."""

from __future__ import annotations

from math import prod

from mentor.errors import UserError


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of ``k`` samples, drawn from ``n`` of which ``c`` are right, is right: 1 - C(n-c,k)/C(n,k).

    Raises:
        UserError: not 0 <= c <= n or not 1 <= k <= n.
    """
    for field, value, low, high in (("n", n, 1, None), ("c", c, 0, n), ("k", k, 1, n)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
            allowed = f"an integer of at least {low}" + ("" if high is None else f" and at most n = {high}")
            raise UserError(f"{field} is {value!r}", field=field, allowed=allowed)
    if n - c < k:
        return 1.0
    return 1.0 - prod(1.0 - k / i for i in range(n - c + 1, n + 1))
