"""Figures of a grid from its records: hand-made ones of which every figure is known, and whole reports of simulated ones."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mentor.drawing
from mentor.analysis.alignment import alignment
from mentor.analysis.alignment_over_seeds import alignment_difference, alignment_over_seeds, plain_score
from mentor.analysis.correlation import correlation
from mentor.errors import UserError
from mentor.experiment.findings import report
from mentor.experiment.findings.controls import at_tokens, budgets
from mentor.experiment.findings.curves import over_steps, over_tokens
from mentor.experiment.findings.measured import Measured
from mentor.experiment.findings.measures import difference, estimate
from mentor.experiment.findings.results import Results, Where
from mentor.experiment.records import Draw, EvaluatedQuestion, RunId, RunRecord
from mentor.tabular import Table, latex, markdown
from tests.support.experiment_records import SETS, Truth, grid, spec

HOSTILE = '<script>alert("x")</script> $\\alpha$ | _y_ & {{ 7*7 }}'
METHODS = {
    "teacher": Truth(level=1.0, trained=False, by_seed=0.0),
    "vanilla": Truth(level=-0.6, invalid=0.3, trained=False, by_seed=0.0),
    "mentor": Truth(level=0.6, invalid=0.02),
    "sparse": Truth(level=0.3, invalid=0.2, tools={"add": 0.1, "solve": 0.1, "search": 0.8}),
    "sft": Truth(level=0.2),
}
EVERYWHERE = Where(("w",), ("s",))


def draw(question: str, sample: int, correct: bool, **fields: object) -> Draw:
    plain = {"answer": "1" if correct else "2", "calls": (), "ok": (), "errors": (), "tokens": 10.0, "end": "answered"}
    return Draw.model_validate(
        {"question": question, "sample": sample, "correct": correct, "lost": False} | plain | fields
    )


def hand_made(method: str = "m", seed: int = 0, draws: tuple[Draw, ...] = ()) -> RunRecord:
    asked = tuple(
        EvaluatedQuestion(id=q, set=s, group=SETS[s]) for q, s in (("a", "in_one"), ("b", "in_two"), ("c", "out_one"))
    )
    run = RunId(world="w", student="s", method=method, seed=seed)
    return RunRecord(key="k", run=run, made_of={"code": ["1" * 64]}, questions=asked, evaluations={"sampled": draws})


def results(*records: RunRecord) -> Results:
    return Results(spec({"vanilla": Truth(trained=False), "m": Truth(), "n": Truth()}), records)


def test_figures_of_hand_made_draws() -> None:
    draws = (
        draw("a", 0, True, calls=("add",), ok=(True, False), errors=("bad",), tokens=30.0),
        draw("a", 1, False, calls=("add", "solve"), ok=(True, True)),
        draw("b", 0, True),
        draw("c", 0, False, lost=True, ok=(False,) * 9, tokens=1e9),
        draw("c", 1, False, ok=(False,), errors=("bad",)),
        draw("unknown", 0, True),
    )
    found = results(hand_made(draws=draws))
    values = {name: estimate(found, name, "m", EVERYWHERE) for name in
              ("accuracy", "invalid_rate", "usage_rate", "calls_per_question", "tokens_per_answer")}  # fmt: skip
    means = {name: one.mean if one else None for name, one in values.items()}
    assert means == pytest.approx(
        {"accuracy": 0.5, "invalid_rate": 0.4, "usage_rate": 0.5, "calls_per_question": 1.25, "tokens_per_answer": 30.0}
    )
    inside = estimate(found, "accuracy", "m", Where(("w",), ("s",), ("in_domain",)))
    only = estimate(found, "accuracy", "m", Where(("w",), ("s",), ("out_one",)))
    assert inside and inside.mean == pytest.approx(2 / 3) and inside.clusters == 2 and only and only.mean == 0
    assert estimate(found, "greedy_accuracy", "m", EVERYWHERE) is None
    run = next(iter(found.runs.values()))
    assert (run.lost, run.drawn) == (1, 6)


def test_a_method_that_never_calls_has_no_invalid_rate_and_one_that_is_never_right_no_price() -> None:
    found = results(hand_made(draws=(draw("a", 0, False), draw("b", 0, False))))
    assert estimate(found, "invalid_rate", "m", EVERYWHERE) is None
    assert estimate(found, "tokens_per_answer", "m", EVERYWHERE) is None
    assert difference(found, "accuracy", "m", "vanilla", EVERYWHERE) is None


def test_students_of_a_world_answer_the_same_questions_and_are_averaged() -> None:
    two = [
        hand_made(seed=seed, draws=(draw("a", 0, seed == 0), draw("b", 0, True))).model_copy(
            update={"run": RunId(world="w", student=student, method="m", seed=seed)}
        )
        for seed in (0, 1)
        for student in ("s", "t")
    ]
    grid_file = spec({"m": Truth()}, students={"s": {"path": "s"}, "t": {"path": "t"}})
    found = estimate(Results(grid_file, two[:3]), "accuracy", "m", Where(("w",), ("s", "t")))
    assert found and found.seeds == 1 and found.mean == 1.0  # the second seed lacks a student
    whole = estimate(Results(grid_file, two), "accuracy", "m", Where(("w",), ("s", "t")))
    assert whole and (whole.seeds, whole.clusters, whole.n, whole.mean) == (2, 2, 8, 0.75)


def test_votes_over_tokens_of_an_untrained_student() -> None:
    draws = (
        draw("a", 0, True, answer="1"), draw("a", 1, True, answer="1.0"), draw("a", 2, False, answer="7"),
        draw("b", 0, False, answer="3"), draw("b", 1, False, answer="3.0"), draw("b", 2, True, answer="5"),
    )  # fmt: skip
    curve = budgets(results(hand_made("vanilla", draws=draws)), "vanilla", EVERYWHERE)
    assert [(p.n, p.tokens) for p in curve] == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert [p.majority.mean for p in curve] == pytest.approx([0.5, 0.5, 0.5])  # a: 2 of 3 agree; b: the wrong two do
    assert [p.best.mean for p in curve] == pytest.approx([0.5, (1 + 2 / 3) / 2, 1.0])
    at = at_tokens(curve, 11.0)
    assert (
        at is not None
        and at.n == 2
        and at_tokens(curve, 31.0) is None
        and budgets(results(), "vanilla", EVERYWHERE) == []
    )


def test_alignment_over_seeds_is_the_score_of_the_pooled_calls_with_a_wider_interval() -> None:
    rng = np.random.default_rng(0)
    names = [str(q) for q in range(60)]

    def calls(p: float) -> dict[str, list[dict[str, int]]]:
        return {name: [{"add": int(rng.binomial(4, p)), "solve": 2}] for name in names}

    teacher = calls(0.5)
    alike, unlike = ({seed: calls(base + 0.05 * rng.normal()) for seed in range(5)} for base in (0.5, 0.2))
    found = alignment_over_seeds(teacher, unlike)
    pooled = {name: [row for side in unlike.values() for row in side[name]] for name in names}
    alone = alignment(teacher, pooled, draws=400)
    assert found.alignment_score == pytest.approx(alone.alignment_score) and found.seeds == 5
    assert found.interval[0] <= alone.interval[0] and found.interval[1] >= alone.interval[1]
    gap = alignment_difference(teacher, alike, unlike)
    expected = alignment(teacher, {n: [r for s in alike.values() for r in s[n]] for n in names}, draws=50)
    assert gap.mean == pytest.approx(expected.alignment_score - found.alignment_score) and gap.p < 0.05
    assert plain_score(teacher, pooled) == pytest.approx(found.alignment_score) and plain_score(teacher, {}) is None
    assert plain_score(teacher, {"0": [{}]}) == 0.0 and plain_score({"0": [{}]}, {"0": [{}]}) == 1.0
    with pytest.raises(UserError):
        alignment_difference(teacher, alike, {9: unlike[0]})


def test_the_first_order_terms_of_a_score_have_its_bootstraps_width() -> None:
    rng = np.random.default_rng(1)
    names = [str(q) for q in range(150)]
    teacher = {n: [{"add": int(rng.poisson(1.0)), "solve": int(rng.poisson(0.6))}] for n in names}
    left, right = (
        {0: {n: [{"add": int(rng.poisson(a)), "solve": int(rng.poisson(b))}] for n in names}}
        for a, b in ((0.2, 1.5), (1.6, 0.3))
    )
    found = alignment_difference(teacher, left, right)
    drawn = []
    for _ in range(300):
        rows = [names[i] for i in rng.integers(0, len(names), len(names))]
        sides = [{str(i): side[n] for i, n in enumerate(rows)} for side in (teacher, left[0], right[0])]
        one, two = (plain_score(sides[0], side) for side in sides[1:])
        assert one is not None and two is not None
        drawn.append(one - two)
    assert float(np.sqrt(found.scatter.questions)) == pytest.approx(np.std(drawn), rel=0.2)


def test_a_correlation_is_pearsons_and_resamples_methods() -> None:
    rng = np.random.default_rng(2)
    x = np.repeat(np.arange(8.0), 5)
    y = x + rng.normal(0, 1, 40)
    found = correlation(x.tolist(), y.tolist(), x.tolist())
    assert found and found.r == pytest.approx(np.corrcoef(x, y)[0, 1]) and found.low and found.high
    assert found.low < found.r < found.high and (found.n, found.clusters) == (40, 8)
    few = correlation([0.0, 1.0, 2.0], [0.0, 1.0, 1.0], ["a", "a", "b"])
    assert few and few.low is None and correlation([1.0, 1.0, 1.0], [0.0, 1.0, 2.0], "abc") is None


def test_curves_are_means_over_seeds_over_steps_and_tokens() -> None:
    steps = [
        tuple({"step": float(n), "correctness": float(s), "samples": 2.0, "response_tokens": 5.0} for n in (1, 2, 3))
        for s in (0, 1)
    ]
    records = [hand_made(seed=s).model_copy(update={"steps": steps[s], "tokens": {"training": 30.0}}) for s in (0, 1)]
    curve = over_steps(results(*records), ("w", "s"), "m", "correctness")
    assert curve and curve.mean == pytest.approx(0.5) and (curve.x[0], curve.x[-1]) == (1.0, 3.0) and curve.seeds == 2
    assert curve.high[0] - curve.mean[0] == pytest.approx(12.71 * np.sqrt(0.5) / np.sqrt(2), rel=0.05)
    tokens = over_tokens(results(*records), ("w", "s"), "m", "correctness")
    assert tokens and (tokens.x[0], tokens.x[-1]) == pytest.approx((10.0, 30.0))
    assert over_steps(results(*records), ("w", "s"), "m", "reward") is None
    silent = records[0].model_copy(update={"tokens": {}})
    assert over_tokens(results(silent), ("w", "s"), "m", "correctness") is None


def test_tables_keep_somebodys_text_in_its_cell() -> None:
    table = Table("t", ("a", "b"), ((HOSTILE + "\n| x | y | [z](javascript:1)", "1.0 [0.0, 2.0]*"),), words=1)
    lines = markdown(table).splitlines()
    assert len(lines) == 3 and "<script" not in lines[2] and "](" not in lines[2].replace("]\\(", "")
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 3
    assert "\\$" in latex(table) and "\\scriptsize [0.0, 2.0]" in latex(table)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Path]]]:
    folder = tmp_path_factory.mktemp("report")
    evaluation = {name: {"file": f"{name}.jsonl", "group": group} for name, group in SETS.items()}
    worlds = {"w": {"folder": ".", "evaluation": evaluation, "dials": {"noise": 0, "size": "small"}},
              "v": {"folder": ".", "evaluation": evaluation, "dials": {"noise": 1, "size": "small"}}}  # fmt: skip
    plain = {"left": "mentor", "sets": ["in_domain"], "direction": "more", "margin": 0.02}
    claims = [
        plain | {"name": "better", "says": HOSTILE, "right": "vanilla", "overturned_by": HOSTILE},
        plain | {"name": "later", "says": "not run yet", "right": "never-run", "confirmatory": False},
    ]
    wanted = {
        "name": "noise-size",
        "right": "sparse",
        "left": "mentor",
        "sets": ["in_domain"],
        "rows": "noise",
        "columns": "size",
        "student": "s",
    }
    grid_file = spec(METHODS | {"never-run": Truth()}, claims, worlds=worlds, maps=[wanted], title=HOSTILE)
    hostile = grid_file.methods["sft"].model_copy(update={"label": HOSTILE})
    grid_file = grid_file.model_copy(update={"methods": grid_file.methods | {"sft": hostile}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mentor.drawing, "DPI", 30)
        yield folder, report(grid_file, grid(METHODS, seeds=2, per_set=8, steps=12, lost=0.05, samples=2), folder)


def test_a_report_of_a_part_of_a_grid_is_whole_and_says_what_is_missing(written: tuple[Path, list[Path]]) -> None:
    folder, paths = written
    assert paths[0] == folder / "index.html" and all(path.stat().st_size for path in paths)
    names = {path.name for path in paths}
    figures = ("figure1", "figure3", "figure4", "figure5", "figure6", "figure7", "map-noise-size", "tokens", "budget")
    assert {
        f"{name}-{theme}.{kind}" for name in figures for theme in ("light", "dark") for kind in ("svg", "png")
    } <= names
    page = (folder / "index.html").read_text()
    assert "9 of 60 runs" in page and "w.s.never-run.s0" in page and "Not run" in page and "no run of never-run" in page


def test_a_report_needs_no_network_and_nobodys_text_becomes_more_than_text(written: tuple[Path, list[Path]]) -> None:
    folder, _ = written
    page = (folder / "index.html").read_text()
    assert (
        not re.findall(r"""(?:src|href|srcset)=["'](?!data:|#)""", page)
        and "http:" not in page
        and "https:" not in page
    )
    assert "<script" not in page and "&lt;script&gt;" in page and "{{ 7*7 }}" in page
    assert "<script" not in (folder / "tables.md").read_text()
    for drawing in (folder / "figures").glob("*.svg"):
        assert "<script" not in drawing.read_text()


def test_machines_read_the_same_figures(written: tuple[Path, list[Path]]) -> None:
    folder, _ = written
    rows = list(csv.DictReader((folder / "estimates.csv").open()))
    mine = [r for r in rows if (r["method"], r["set"], r["measure"]) == ("mentor", "all", "accuracy")]
    assert (
        len(mine) == 1
        and mine[0]["seeds"] == "2"
        and float(mine[0]["low"]) < float(mine[0]["mean"]) < float(mine[0]["high"])
    )
    assert {r["measure"] for r in rows} >= {"alignment_score", "invalid_rate", "usage_rate", "calls_per_question"}
    found = json.loads((folder / "findings.json").read_text())
    assert found["runs"]["there"] == 9 and found["lost_draws"] and found["code_versions"] == {"0123abcd": 9}
    assert [one["verdict"] for one in found["verdicts"]][1] == "not run" and len(found["maps"][0]["cells"]) == 2


def test_nothing_at_all_is_a_report_too(tmp_path: Path) -> None:
    paths = report(spec(METHODS), [], tmp_path)
    page = paths[0].read_text()
    assert "0 of 25 runs" in page and "Nothing measured yet" in page


def test_columns_are_sets_groups_of_several_and_all() -> None:
    found = Measured(
        results(hand_made(draws=(draw("a", 0, True), draw("b", 0, True), draw("c", 0, False)))), ("w", "s")
    )
    assert (
        found.columns == ["in_one", "in_two", "out_one", "in_domain", "out_of_domain", "all"] and found.size("all") == 3
    )
