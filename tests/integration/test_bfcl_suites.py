"""BFCL as suites of an evaluation: gold through the whole of it is right, what cannot run is said, bounds take its place."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mentor.errors import UserError
from mentor_evaluator.bfcl.categories import ALL
from mentor_evaluator.matrix.draw import draw_matrix
from mentor_evaluator.matrix.job import prepare
from mentor_evaluator.matrix.plan import not_run, plan
from mentor_evaluator.matrix.results import matrix_report
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.runs import open_run
from tests.support.bfcl_model import GoldModel
from tests.support.openai_server import MODEL, Reply, openai_server, refused, said
from tests.support.quiet import Quiet

CATEGORIES = ["simple_python", "live_irrelevance", "multi_turn_base", "memory_kv"]


def spec_for(url: str, *suites: str, **fields: Any) -> EvaluationSpec:
    values: dict[str, Any] = {
        "models": [{"name": "gold", "model": {"url": url, "name": MODEL}}],
        "suites": suites, "max_questions": 3, "concurrency": 8, "sampling": {"max_tokens": 64, "seed": 0},
    }  # fmt: skip
    return EvaluationSpec.model_validate(values | fields)


@pytest.mark.parametrize("mode", ["fc", "prompt"])
async def test_gold_through_a_whole_evaluation_is_right_in_every_category(mode: Any, tmp_path: Path) -> None:
    model = GoldModel(CATEGORIES, mode)

    def answer(body: dict[str, Any], request_id: str) -> Reply:
        return said("2") if request_id == "probe" else model.answer(body, request_id)

    async with openai_server(identified=answer) as url:
        spec = spec_for(url, *(f"bfcl-{name}" for name in CATEGORIES), options={"bfcl": {"mode": mode}})
        run = tmp_path / "run"
        cells = prepare(spec, run)
        assert await asyncio.to_thread(draw_matrix, spec, cells, run, Quiet(run))
    report = matrix_report(spec, cells, run)
    assert {key: cell["accuracy"]["mean"] for key, cell in report["cells"].items()} == {
        f"gold/bfcl-{name}/tools": 1.0 for name in CATEGORIES
    }
    board = report["bfcl"]["gold/tools"]
    assert board["overall"]["partial"] and board["overall"]["accuracy"] is None
    assert board["overall"]["lower"] < 0.05 and board["overall"]["upper"] == pytest.approx(1.0)
    assert set(board["subset"]) == set(CATEGORIES)
    conversation = open_run(run).cell("gold/bfcl-multi_turn_base/tools").trajectories[0]
    assert conversation.metadata["bfcl_record"]["id"] == conversation.question_id
    assert conversation.metadata["verdict"]["reason"] == "right" and conversation.executed_calls


async def test_a_server_without_tools_is_found_out_before_anything_is_spent(tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        return refused(400, "tools are not supported") if body.get("tools") else said("2")

    async with openai_server(answer) as url:
        spec = spec_for(url, "bfcl-simple_python")
        with pytest.raises(UserError, match="tools are not supported"):
            await asyncio.to_thread(draw_matrix, spec, prepare(spec, tmp_path), tmp_path, Quiet(tmp_path))


def test_what_cannot_run_is_left_out_of_its_group_with_its_reason_and_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SERPAPI_API_KEY", raising=False)
    spec = spec_for("http://nowhere", "bfcl-web_search", "bfcl-simple_python")
    assert [cell.planned.name for cell in plan(spec)] == ["bfcl-simple_python"]
    assert set(not_run(spec)) == {"bfcl-web_search_base", "bfcl-web_search_no_snippet"}
    assert "SERPAPI_API_KEY" in not_run(spec)["bfcl-web_search_base"]
    with pytest.raises(UserError, match="bfcl-web_search_base cannot be run here"):
        plan(spec_for("http://nowhere", "bfcl-web_search_base"))
    with pytest.raises(UserError, match="mode: fc, or mode: prompt"):
        plan(spec_for("http://nowhere", "bfcl-simple_python", options={"bfcl": {"mode": "sideways"}}))


def test_the_group_has_every_category() -> None:
    spec = spec_for("http://nowhere", "bfcl", options={"bfcl": {"mode": "prompt"}})
    named = {cell.planned.name.removeprefix("bfcl-") for cell in plan(spec)}
    assert named | {name.removeprefix("bfcl-") for name in not_run(spec)} == set(ALL)
