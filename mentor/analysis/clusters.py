"""What every interval here starts from: samples summed by question, because samples of one question are not independent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mentor.errors import UserError

Values = Mapping[str, Sequence[float]]
"""Samples by question id."""
Ratios = Mapping[str, tuple[float, float]]
"""A numerator and a denominator by question id, such as failed calls and calls."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums over cells; ``sums`` and ``sizes`` have one shape."""

    sums: Array
    sizes: Array

    @property
    def mean(self) -> float:
        """The ratio."""
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def residuals(self) -> Array:
        """What each cell adds to the ratio's error (its first-order term), times the number of cells: they sum to 0."""
        found: Array = (self.sums - self.mean * self.sizes) / self.sizes.mean()
        return found


@dataclass(frozen=True)
class Clusters(Ratio):
    """A ratio of sums over questions: ``sums`` and ``sizes`` have shape (questions,); no size is 0."""

    @property
    def number(self) -> int:
        """Questions."""
        return len(self.sums)

    @property
    def total(self) -> float:
        """Samples (or whatever the sizes count)."""
        return float(self.sizes.sum())

    @property
    def variance(self) -> float:
        """Of the ratio, over questions; 0 for a single one, which tells nothing of it."""
        n = self.number
        return float((self.residuals**2).sum() / (n * (n - 1))) if n > 1 else 0.0


def clusters_of(values: Values, field: str = "values") -> Clusters:
    """Samples by question; questions without any are left out.

    Raises:
        UserError: there is no sample at all.
    """
    return ratio_of({name: (float(np.sum(v)), float(len(v))) for name, v in values.items()}, field)


def ratio_of(ratios: Ratios, field: str = "values") -> Clusters:
    """Numerators and denominators; questions whose denominator is 0 are left out.

    Raises:
        UserError: none is left.
    """
    pairs = np.array([pair for pair in ratios.values() if pair[1]], dtype=float).reshape(-1, 2)
    if not len(pairs):
        raise UserError("no samples to average", field=field, allowed="at least one sample")
    return Clusters(pairs[:, 0], pairs[:, 1])
