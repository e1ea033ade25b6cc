"""The filters on a small made set: what docs/teacher.md says of them holds."""

from __future__ import annotations

import pytest

from benchmarks.filters.__main__ import Row, rows, table
from benchmarks.marks import END, START
from tests.docs.blocks import ROOT

FLOORS = {
    "near_duplicates": (0.85, 0.95), "contamination": (0.75, 0.95), "early_answers": (1, 1), "refusals": (0.7, 1),
    "language": (0.8, 1), "failing_calls": (1, 1), "unexecuted_calls": (1, 1), "agreement": (0.9, 0.5),
}  # fmt: skip
"""Least recall and precision of 60 planted cases."""


@pytest.fixture(scope="module")
def measured() -> dict[str, Row]:
    return {row.name: row for row in rows(seed=1, size=60)}


@pytest.mark.parametrize(("name", "floors"), FLOORS.items())
def test_a_filter_finds_what_it_is_for_and_little_else(
    name: str, floors: tuple[float, float], measured: dict[str, Row]
) -> None:
    row = measured[name]
    assert row.planted >= 55 and row.clean >= 100
    assert row.recall >= floors[0] and row.precision >= floors[1], (row.missed, row.wrongly)


def test_every_filter_that_is_measured_is_in_the_documentation(measured: dict[str, Row]) -> None:
    written = (ROOT / "docs" / "teacher.md").read_text().split(START)[1].split(END)[0]
    assert set(measured) == set(FLOORS) and all(f"| `{name}` | 4" in written for name in measured)
    assert table(list(measured.values()), 1, "of templates").count("\n|") == len(measured) + 2
