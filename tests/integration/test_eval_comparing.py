"""Reports, comparisons and leaderboards of runs on disk, and the commands that print them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mentor.errors import UserError
from mentor_evaluator.commands import app
from mentor_evaluator.comparing import Comparison, Leaderboard, compare_runs, leaderboard
from mentor_evaluator.comparing.sides import parse_side
from mentor_evaluator.measures.models import RunReport
from mentor_evaluator.measures.reading import report_of
from mentor_evaluator.runs import Run
from tests.support.written_run import write_run

N = 40


def rights(number: int, samples: int = 1) -> list[list[bool]]:
    return [[n < number] * samples for n in range(N)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write_run(
        tmp_path / "run",
        {
            "weak/gsm8k/tools": rights(10), "weak/gsm8k/no-tools": rights(4), "weak/svamp/tools": rights(20),
            "strong/gsm8k/tools": rights(30), "strong/gsm8k/no-tools": rights(4), "strong/svamp/tools": rights(22),
        },
        models=[{"name": "weak", "price_in": 1.0, "price_out": 2.0}, {"name": "strong"}],
    )  # fmt: skip


def test_a_report_says_what_samples_were_took_and_cost(run: Run) -> None:
    report = report_of(run)
    cell = report.cells["weak/gsm8k/tools"]
    assert cell.accuracy.mean == 0.25 and cell.accuracy.clusters == N and cell.measures["f1"].mean == 0.25
    assert cell.rates.usage.mean == 0.25 and cell.rates.calls_per_question.mean == 1
    assert cell.rates.invalid is not None and cell.rates.invalid.mean == 0.75
    assert cell.rates.invalid_by_kind["unknown_tool"].mean == 0.75
    assert cell.tokens.generated.mean == 6 and cell.tokens.prompt.mean == pytest.approx(3 + 3 + 2 + 1 / 3.5)
    assert cell.cost is not None and cell.cost.per_right == pytest.approx(cell.cost.total / 10)
    assert cell.cost.low is not None and cell.cost.low < cell.cost.per_right
    assert (
        cell.latency.median.value == 0.5 and cell.endings.judge_timeouts == 0 and cell.groups == ["math"]
    ) or cell.groups
    macro = next(m for m in report.macro if (m.model, m.arm, m.group) == ("weak", "tools", "all"))
    assert macro.accuracy.mean == pytest.approx((0.25 + 0.5) / 2) and macro.suites == ["gsm8k", "svamp"]
    effect = next(e for e in report.tool_effects if e.model == "strong")
    assert effect.difference.mean == pytest.approx(26 / N) and effect.p < 0.001
    assert RunReport.model_validate_json(report.model_dump_json()) == report


def test_several_samples_give_pass_and_majority_at_k(tmp_path: Path) -> None:
    mixed = [[True, True, False, False] for _ in range(N)]
    cell = report_of(write_run(tmp_path / "r", {"m/gsm8k/no-tools": mixed})).cells["m/gsm8k/no-tools"]
    assert cell.avg_at_k["4"].mean == 0.5 and cell.pass_at_k["4"].mean == 1 and set(cell.pass_at_k) == {"1", "2", "4"}
    assert cell.pass_at_k["2"].mean == pytest.approx(1 - 1 / 6)
    assert cell.maj_at_k["4"].mean == 0.5 and cell.maj_at_k["2"].mean == pytest.approx(0.5)


def test_a_comparison_says_what_changed_sides_and_what_it_is_worth(run: Run) -> None:
    found = compare_runs(run, run, model_a="weak", model_b="strong")
    by_key = {(s.suite, s.arm): s for s in found.suites}
    big, small = by_key["gsm8k", "tools"], by_key["svamp", "tools"]
    assert (big.better, big.worse, big.questions) == (20, 0, N) and big.difference.mean == 0.5
    assert big.p == pytest.approx(2 * 0.5**20) and big.p_holm == pytest.approx(3 * big.p) and big.significant
    assert not small.significant and small.detectable > small.difference.mean > 0
    same = by_key["gsm8k", "no-tools"]
    assert same.bootstrap is None and same.difference.low < 0 < same.difference.high
    assert {c.id for c in big.changed} == {f"gsm8k-{n}" for n in range(10, 30)}
    one = big.changed[0]
    assert (one.a, one.b, one.answers_a, one.answers_b, one.accepted) == (0, 1, ["-1"], ["20"], ["20"])
    assert big.usage.invalid_calls.mean == -0.5 and big.usage.calls.mean == 0
    assert found.macro[0].difference.mean == pytest.approx((0.5 + 0.05) / 2)


def refusal(a: Run, b: Run, *even_if: str) -> str:
    with pytest.raises(UserError) as refused:
        compare_runs(a, b, even_if=even_if)
    return str(refused.value)


def test_runs_that_differ_in_what_matters_are_refused_with_each_difference(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"m/gsm8k/tools": rights(10)})
    b = write_run(
        tmp_path / "b", {"m/gsm8k/tools": rights(12)[:35]},
        sampling={"temperature": 1.0, "seed": 7}, limits={"max_turns": 9}, strategy="naive",
    )  # fmt: skip
    manifest = json.loads((b.folder / "manifest.json").read_text())
    manifest["prompt"] = "other"
    manifest["suites"]["gsm8k"] |= {"scorer": "qa_response", "tools": {"add": "b" * 64}}
    (b.folder / "manifest.json").write_text(json.dumps(manifest))
    told = refusal(a, Run(b.folder))
    for part in ("sampling (temperature): 0.6 against 1.0", "limits (max_turns): 5 against 9", "strategy (run)", "prompt (run)",
                 "questions (gsm8k): 40 questions", "scorer (gsm8k)", "tools (gsm8k: add)"):  # fmt: skip
        assert part in told
    assert "seed" not in told and "--even-if prompt,sampling,limits,strategy,questions,scorer,tools" in told
    assert "questions (gsm8k)" in refusal(
        a, Run(b.folder), "prompt", "sampling", "limits", "strategy", "scorer", "tools"
    )
    assert "unknown part 'colour'" in refusal(a, Run(b.folder), "colour")
    parts = ("prompt", "sampling", "limits", "strategy", "scorer", "tools", "questions")
    found = compare_runs(a, Run(b.folder), even_if=parts)
    assert found.suites[0].questions == 35 and {s.part for s in found.settings} == set(parts)


def test_a_side_must_name_what_there_is(run: Run, tmp_path: Path) -> None:
    assert parse_side(f"{run.folder}:weak", "a")[1] == "weak" and parse_side(str(run.folder), "a")[1] is None
    with pytest.raises(UserError, match="several models"):
        compare_runs(run, run)
    with pytest.raises(UserError, match="no model 'x'"):
        compare_runs(run, run, model_a="x", model_b="weak")
    with pytest.raises(UserError, match="names no run"):
        parse_side(str(tmp_path / "nowhere"), "a")
    other = write_run(tmp_path / "other", {"m/aime24/tools": rights(1)})
    with pytest.raises(UserError, match="share no suite"):
        compare_runs(run, other, model_a="weak")


def test_a_leaderboard_ranks_and_says_what_differences_are_worth(run: Run, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", {"third/gsm8k/tools": rights(28)}, sampling={"temperature": 1.0})
    found = leaderboard([run, other], arm="tools")
    assert [entry.model for entry in found.entries] == ["strong", "third", "weak"]
    assert found.shared == ["gsm8k"] and found.suites == ["gsm8k", "svamp"]
    strong, third, weak = (entry.suites["gsm8k"] for entry in found.entries)
    assert strong.best and not third.best and third.significant is False and weak.significant is True
    assert weak.behind is not None and weak.behind.mean == 0.5
    assert any(s.part == "sampling" and "third" in s.where for s in found.settings)
    assert any("not every entry has svamp" in text for text in found.warnings)
    alone = leaderboard([run], arm="tools")
    assert alone.entries[0].macro["all"].mean == pytest.approx((0.75 + 0.55) / 2)
    with pytest.raises(UserError, match="nothing to rank"):
        leaderboard([run], arm="tools-thinking")


def called(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "240"})
    assert done.exit_code == code, done.output
    return done.output


def test_the_commands_print_tables_and_json(run: Run) -> None:
    folder = str(run.folder)
    table = called("compare", f"{folder}:weak", f"{folder}:strong")
    assert "+50.0" in table and "gsm8k-10: ['-1'] 0.00 -> ['20'] 1.00" in table
    Comparison.model_validate_json(called("compare", f"{folder}:weak", f"{folder}:strong", "--json"))
    assert "best" in called("leaderboard", folder)
    Leaderboard.model_validate_json(called("leaderboard", folder, "--json"))
    shown = called("show", folder)
    assert "macro average all, weak, tools: 37.5" in shown and "effect of tools, strong, gsm8k: +65.0" in shown
    assert "calls per question" in called("show", folder, "--cell", "weak/gsm8k/tools")
    sample = called("show", folder, "--cell", "weak/gsm8k/tools", "--sample", "gsm8k-1:0")
    assert "-> add" in sample and "right (equal): '2'" in sample
    RunReport.model_validate_json(called("show", folder, "--json"))


def test_few_questions_are_warned_of(tmp_path: Path) -> None:
    run = write_run(tmp_path / "few", {"a/gsm8k/tools": rights(3)[:10], "b/gsm8k/tools": rights(5)[:10]})
    assert any("10 questions" in text for text in report_of(run).warnings)
    assert "10 shared questions" in compare_runs(run, run, model_a="a", model_b="b").warnings[0]
    assert "fewer than 30" in leaderboard([run]).warnings[0]
