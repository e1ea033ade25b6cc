"""Coverage of each kind of interval in such worlds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np

from benchmarks.statistics.seeded import seeded
from benchmarks.statistics.worlds import AMOUNTS, Amount, Rng, Values, answers, rates, two_sides
from mentor.analysis.intervals import Estimate, cluster_bootstrap
from mentor.analysis.macro import macro_share
from mentor.analysis.means import amount, amount_ratio, difference, quantile, skewness
from mentor.analysis.pass_at_k import pass_at_k
from mentor.analysis.shares import share, share_ratio
from mentor.analysis.votes import majority_at_k

SIZES = (30, 60, 200)
SHARES = (0.02, 0.1, 0.5, 0.9, 0.98)
SAMPLES = (1, 4)
CORRELATIONS = (0.1, 0.5, 0.9)
Trial = Callable[[Rng], tuple[bool, bool]]
"""One draw: whether the interval held the truth, and whether a report would have warned."""


@dataclass(frozen=True)
class Case:
    """One row. ``warned``: the share of trials in which a report would have warned of it."""

    kind: str
    world: str
    questions: int
    trial: Trial


@dataclass(frozen=True)
class Covered:
    """What came of it."""

    case: Case
    coverage: float
    warned: float
    either: float


def covered(case: Case, trials: int, seed: int) -> Covered:
    """Simulate a case."""
    rng = np.random.default_rng(seed)
    found = np.array([case.trial(rng) for _ in range(trials)])
    return Covered(case, found[:, 0].mean(), found[:, 1].mean(), found.any(axis=1).mean())


def cases() -> Iterator[Case]:
    """Every kind of interval that reports, comparisons and leaderboards show."""
    for n in SIZES:
        yield from _shares(n)
        yield from _paired(n)
        yield from _further(n)
        for item in AMOUNTS:
            yield Case("mean of an amount", item.name, n, _amount_trial(item, n))
            for q in (0.5, 0.95):
                yield Case(f"quantile {q:g}", item.name, n, _quantile_trial(item, n, q))
    for n in SIZES:
        yield from (Case(kind, world, n, trial) for kind, world, trial in seeded(n))


def _shares(n: int) -> Iterator[Case]:
    for p in SHARES:
        for m in SAMPLES:
            for rho in CORRELATIONS if m > 1 else (0.5,):
                world = f"p={p:g}, {m} samples" + (f", correlation {rho:g}" if m > 1 else "")
                yield Case("accuracy, avg@k", world, n, _share_trial(p, rho, n, m, share))
                if m > 1 and rho == 0.5:
                    yield Case("pass@2", world, n, _pass_trial(p, rho, n, m))
                    yield Case("maj@3", world, n, _majority_trial(p, rho, n, m))
                yield Case("(plain percentile bootstrap)", world, n, _share_trial(p, rho, n, m, _plain_bootstrap))


def _plain_bootstrap(values: Values) -> Estimate:
    return cluster_bootstrap(values, draws=200)


def _held(estimate: Estimate, truth: float) -> tuple[bool, bool]:
    return estimate.low <= truth <= estimate.high, False


def _share_trial(p: float, rho: float, n: int, m: int, interval: Callable[[Values], Estimate]) -> Trial:
    return lambda rng: _held(interval(answers(rng, rates(rng, p, rho, n), m)), p)


def _pass_trial(p: float, rho: float, n: int, m: int) -> Trial:
    size = 1 / rho - 1
    a, b = p * size, (1 - p) * size
    truth = 1 - b * (b + 1) / ((a + b) * (a + b + 1))

    def trial(rng: Rng) -> tuple[bool, bool]:
        values = answers(rng, rates(rng, p, rho, n), m)
        return _held(share({k: [pass_at_k(m, int(sum(v)), 2)] for k, v in values.items()}), truth)

    return trial


def _majority_trial(p: float, rho: float, n: int, m: int) -> Trial:
    """All wrong answers agree, so that the majority of three is right with two right ones."""
    size = 1 / rho - 1
    a, b = p * size, (1 - p) * size

    def rising(x: float, k: int) -> float:
        return float(np.prod([x + i for i in range(k)]))

    truth = sum(comb(3, k) * rising(a, k) * rising(b, 3 - k) / rising(a + b, 3) for k in (2, 3))

    def trial(rng: Rng) -> tuple[bool, bool]:
        values = answers(rng, rates(rng, p, rho, n), m)
        votes = {k: [majority_at_k([0 if right else 1 for right in v], v, 3)] for k, v in values.items()}
        return _held(share(votes), truth)

    return trial


def _paired(n: int) -> Iterator[Case]:
    for m in SAMPLES:
        for p in ((0.02, 0.02), (0.02, 0.1), (0.1, 0.1), (0.5, 0.5), (0.5, 0.6), (0.9, 0.98), (0.98, 0.98)):
            world = f"p={p[0]:g} and {p[1]:g}, {m} samples"
            yield Case("paired difference", world, n, _paired_trial(p, n, m))


def _paired_trial(p: tuple[float, float], n: int, m: int) -> Trial:
    return lambda rng: _held(difference(*two_sides(rng, p, n, m), bound=1.0), p[1] - p[0])


def _further(n: int) -> Iterator[Case]:
    for name, ps in (
        ("six suites, p=0.02 to 0.9", (0.02, 0.1, 0.3, 0.5, 0.7, 0.9)),
        ("six suites, all p=0.02", (0.02,) * 6),
    ):
        yield Case("macro average", name, n, _macro_trial(ps, n))
    for p in (0.02, 0.3):
        yield Case("invalid rate (of calls)", f"p={p:g}, 0 to 4 calls", n, _rate_trial(p, n))
    for p in (0.1, 0.5):
        yield Case("cost per right answer", f"p={p:g}, lognormal price", n, _cost_trial(p, n))


def _macro_trial(ps: tuple[float, ...], n: int) -> Trial:
    truth = float(np.mean(ps))
    return lambda rng: _held(macro_share([share(answers(rng, rates(rng, p, 0.5, n), 1)) for p in ps]), truth)


def _rate_trial(p: float, n: int) -> Trial:
    def trial(rng: Rng) -> tuple[bool, bool]:
        calls = rng.integers(0, 5, n)
        calls[0] = max(1, calls[0])
        failed = rng.binomial(calls, rates(rng, p, 0.3, n))
        return _held(share_ratio({str(i): (float(failed[i]), float(calls[i])) for i in range(n)}), p)

    return trial


def _cost_trial(p: float, n: int) -> Trial:
    truth = float(np.exp(0.125)) / p

    def trial(rng: Rng) -> tuple[bool, bool]:
        right, price = rng.random(n) < p, rng.lognormal(0.0, 0.5, n)
        if not right.any():
            return True, False  # nothing is claimed
        rate = amount_ratio({str(i): (float(right[i]), float(price[i])) for i in range(n)})
        return 1 / rate.high <= truth and (rate.low <= 0 or truth <= 1 / rate.low), False

    return trial


def _amount_trial(item: Amount, n: int) -> Trial:
    def trial(rng: Rng) -> tuple[bool, bool]:
        drawn = item.draw(rng, n)
        found = amount({str(i): [float(x)] for i, x in enumerate(drawn)})
        return found.low <= item.mean <= found.high, n < 10 * skewness(drawn) ** 2

    return trial


@cache
def _true_quantile(item: Amount, q: float) -> float:
    return float(np.quantile(item.draw(np.random.default_rng(7), 1_000_000), q))


def _quantile_trial(item: Amount, n: int, q: float) -> Trial:
    def trial(rng: Rng) -> tuple[bool, bool]:
        truth, drawn = _true_quantile(item, q), item.draw(rng, n)
        found = quantile({str(i): [float(x)] for i, x in enumerate(drawn)}, q)
        return (found.low is None or found.low <= truth) and (found.high is None or truth <= found.high), False

    return trial
