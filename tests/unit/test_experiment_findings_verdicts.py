"""Verdicts: the rules one by one, and by simulated grids of known truth how often they are right."""

from __future__ import annotations

from typing import Any

import pytest

from mentor.analysis.significance import holm
from mentor.experiment.findings.results import Results
from mentor.experiment.findings.verdicts import Verdict, adjusted_p, decide, verdicts
from mentor.experiment.spec import Claim
from tests.support.experiment_records import Truth, grid, spec

METHODS = {
    "teacher": Truth(level=1.0, trained=False, by_seed=0.0),
    "vanilla": Truth(level=-0.6, invalid=0.3, by_seed=0.0, trained=False),
    "mentor": Truth(level=0.6, invalid=0.0),
    "sparse": Truth(level=0.55, invalid=0.2, tools={"add": 0.1, "solve": 0.1, "search": 0.8}),
}
ALL = ["in_domain", "out_of_domain"]


def claim(name: str, left: str = "mentor", right: str | None = "vanilla", **fields: Any) -> dict[str, Any]:
    plain = {"name": name, "says": name, "left": left, "right": right, "direction": "more", "margin": 0.05, "sets": ALL}
    return plain | fields


def judged(claims: list[dict[str, Any]], methods: dict[str, Truth] = METHODS, **fields: Any) -> dict[str, Verdict]:
    results = Results(spec(methods, claims), grid(methods, **({"greedy": False, "samples": 2} | fields)))
    return {one.claim.name: one for one in verdicts(results)}


@pytest.mark.parametrize(
    ("signed", "high", "p", "margin", "word", "because"),
    [
        (0.10, 0.15, 0.01, 0.05, "holds", "at least the margin"),
        (0.05, 0.15, 0.01, 0.05, "holds", "at least the margin"),
        (0.03, 0.04, 0.01, 0.05, "holds, smaller than what matters", "which the interval leaves out"),
        (0.03, 0.06, 0.01, 0.05, "holds, smaller than what matters", "which the interval does not leave out"),
        (-0.03, -0.01, 0.01, 0.05, "does not hold", "the contrary"),
        (0.01, 0.04, 0.30, 0.05, "does not hold", "excluded"),
        (0.03, 0.08, 0.20, 0.05, "cannot be told at this size", "room"),
        (-0.03, -0.01, 0.20, 0.00, "cannot be told at this size", "room"),
    ],
)
def test_the_rules(signed: float, high: float, p: float, margin: float, word: str, because: str) -> None:
    found = decide(signed, high, p, margin)
    assert found[0] == word and because in found[1]


def test_claims_are_judged_in_their_direction_with_the_interval_of_the_difference() -> None:
    found = judged(
        [
            claim("better"),
            claim("worse", direction="less"),
            claim("alike", right="sparse", margin=0.3),
            claim("fewer-failures", metric="invalid_rate", right="sparse", direction="less"),
            claim("near-zero", metric="invalid_rate", right=None, value=0.05, direction="less", margin=0),
            claim("not-near-zero", left="sparse", metric="invalid_rate", right=None, value=0.05, direction="less", margin=0),
            claim("aligned", metric="alignment_score", right="sparse", margin=0.1),
            claim("well-aligned", metric="alignment_score", right=None, value=0.8, margin=0),
        ]
    )  # fmt: skip
    words = {name: one.verdict for name, one in found.items()}
    assert words == {
        "better": "holds", "worse": "does not hold", "alike": "does not hold", "fewer-failures": "holds",
        "near-zero": "holds", "not-near-zero": "does not hold", "aligned": "holds", "well-aligned": "holds",
    }  # fmt: skip
    worse, fewer = found["worse"], found["fewer-failures"]
    assert worse.found and worse.signed and worse.signed[0] == pytest.approx(-worse.found.mean) and worse.found.mean > 0
    assert fewer.found and fewer.signed and fewer.signed[1] == pytest.approx(-fewer.found.high) and fewer.found.mean < 0
    assert worse.found.seeds == 5 and worse.found.clusters == 120 and "5 seeds x 120 questions" in worse.notes
    assert worse.detectable and worse.detectable_first and worse.detectable < worse.detectable_first < 0.3


def test_holm_counts_claims_that_cannot_be_tested_yet_and_leaves_exploratory_ones_alone() -> None:
    found = judged(
        [claim("a"), claim("b", right="sparse"), claim("c", left="later"), claim("d", confirmatory=False)],
        METHODS | {"later": Truth()},
        seeds=0,
    )
    assert {one.verdict for one in found.values()} == {"not run"} and "later" in found["c"].because
    claims = [Claim.model_validate(claim(n)) for n in "abc"] + [Claim.model_validate(claim("d", confirmatory=False))]
    some = judged([claim("a")])["a"].found
    assert some is not None
    small = some.model_copy(update={"p": 0.01})
    wanted = holm({"a": 0.01, "b": 0.01, "c": 1.0})
    assert adjusted_p(claims, {"a": small, "b": small, "c": None, "d": small}) == wanted | {"d": 0.01}


def test_one_seed_tells_nothing_of_a_way_of_training_but_something_of_ways_of_asking() -> None:
    methods = METHODS | {"cold": Truth(level=0.6, by_seed=0.0, trained=False)}
    found = judged([claim("trained"), claim("asked", left="cold")], methods, seeds=1)
    assert found["trained"].verdict == "cannot be told at this size" and "one seed" in found["trained"].because
    assert found["trained"].found and found["trained"].found.seeds == 1
    assert found["asked"].verdict == "holds"


def test_an_untrained_side_with_fewer_seeds_stands_beside_each_seed_of_the_other() -> None:
    records = [r for r in grid(METHODS, greedy=False) if r.run.method == "mentor" or r.run.seed == 0]
    results = Results(spec(METHODS, [claim("a"), claim("b", right="sparse")]), records)
    first, second = verdicts(results)
    assert first.found and first.found.seeds == 5 and first.verdict == "holds"
    assert second.found and second.found.seeds == 1 and "one seed" in second.because
    assert "4 runs of the grid are missing" in second.notes


@pytest.mark.parametrize(("gap", "least", "most"), [(0.0, 0.0, 0.075), (0.9, 0.9, 1.0)])
def test_what_is_there_is_found_and_what_is_not_is_hardly_ever_claimed(gap: float, least: float, most: float) -> None:
    """Of 80 grids: a difference of none (at most 2.5% a direction, three standard errors more), and one that is large."""
    methods = {"one": Truth(level=gap, by_seed=0.15, calls=0.0), "two": Truth(level=0.0, by_seed=0.15, calls=0.0)}
    claims = [claim("more", left="one", right="two", margin=0.0)]
    words = [judged(claims, methods, per_set=20, samples=1, seed=number)["more"].verdict for number in range(80)]
    assert least <= words.count("holds") / len(words) <= most
