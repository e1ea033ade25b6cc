"""Strategies for QA on a real retriever: what each looks up, what it shows, and what it leaves out of tool statistics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mentor.errors import InfrastructureError, UserError
from mentor_evaluator.matrix.draw import draw_matrix
from mentor_evaluator.matrix.job import prepare
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.runs import open_run
from mentor_evaluator.strategies.ircot import first_sentence
from tests.support.openai_server import MODEL, Reply, openai_server, said
from tests.support.quiet import Quiet
from tests.support.service_process import ROOT, ServiceProcess

CORPUS = ROOT / "examples" / "tiny" / "corpus.jsonl"
TITLE = json.loads(CORPUS.read_text().splitlines()[0])["contents"].split("\n")[0].strip('"')


@pytest.fixture(scope="module")
def retriever() -> Iterator[ServiceProcess]:
    running = ServiceProcess("mentor_retriever", "--corpus-path", str(CORPUS), "--retrieval-method", "bm25")
    yield running
    running.stop()


def spec_for(url: str, target: str, folder: Path, **fields: Any) -> EvaluationSpec:
    (folder / "qa.jsonl").write_text(
        json.dumps({"id": "q", "question": f"What is {TITLE}?", "answer": "a town"}) + "\n"
    )
    values: dict[str, Any] = {
        "models": [{"name": "m", "model": {"url": url, "name": MODEL}}],
        "own": [
            {"name": "qa", "file": str(folder / "qa.jsonl"), "tools": ["wikipedia_search"], "scorer": "qa_response"}
        ],
        "sampling": {"max_tokens": 64, "seed": 0},
        "backends": {"retriever": target, "deadline_s": 5},
    }
    return EvaluationSpec.model_validate(values | fields)


async def drawn(strategy: str, retriever: ServiceProcess, folder: Path, answers: list[str]) -> tuple[Any, list[Any]]:
    asked: list[dict[str, Any]] = []

    def answer(body: dict[str, Any]) -> Reply:
        if "What is 1 + 1?" in body["messages"][-1]["content"]:
            return said("2")
        asked.append(body)
        return said(answers[min(len(asked), len(answers)) - 1])

    async with openai_server(answer) as url:
        spec = spec_for(url, retriever.grpc, folder, strategy=strategy)
        assert await asyncio.to_thread(draw_matrix, spec, prepare(spec, folder / "run"), folder / "run", Quiet(folder))
    (cell,) = open_run(folder / "run").cells()
    return cell.trajectories[0], asked


async def test_naive_looks_nothing_up_and_offers_no_tool(retriever: ServiceProcess, tmp_path: Path) -> None:
    trajectory, asked = await drawn("naive", retriever, tmp_path, ["\\boxed{a town}"])
    assert len(asked) == 1 and "tools" not in asked[0] and trajectory.metadata["retrievals"] == []
    assert trajectory.metadata["correct"] and trajectory.metadata["verdict"]["values"]["f1"] == 1


async def test_zero_shot_shows_what_it_found_before_the_question(retriever: ServiceProcess, tmp_path: Path) -> None:
    trajectory, asked = await drawn("zero-shot", retriever, tmp_path, ["\\boxed{a town}"])
    (looked_up,) = trajectory.metadata["retrievals"]
    assert looked_up["query"] == f"What is {TITLE}?" and TITLE in looked_up["content"]
    assert TITLE in asked[0]["messages"][0]["content"] and asked[0]["messages"][0]["role"] == "system"
    assert trajectory.attempted_names == ()  # the strategy's look-ups are no calls of the model


async def test_iterretgen_looks_up_what_it_said_before(retriever: ServiceProcess, tmp_path: Path) -> None:
    trajectory, _ = await drawn("iterretgen", retriever, tmp_path, ["It lies by the river.", "Perhaps.", "\\boxed{x}"])
    queries = [found["query"] for found in trajectory.metadata["retrievals"]]
    question = f"What is {TITLE}?"
    assert queries == [question, f"{question} It lies by the river.", f"{question} Perhaps."]
    assert len(trajectory.turns) == 3 and trajectory.answer == "x"


async def test_ircot_looks_up_each_sentence_and_stops_at_an_answer(retriever: ServiceProcess, tmp_path: Path) -> None:
    said_then = ["It is a place. It is old.", "So it is \\boxed{a town}."]
    trajectory, asked = await drawn("ircot", retriever, tmp_path, said_then)
    assert [found["query"] for found in trajectory.metadata["retrievals"]] == [f"What is {TITLE}?", "It is a place."]
    assert asked[1]["messages"][-2] == {"role": "assistant", "content": "It is a place."}
    assert trajectory.metadata["correct"] and len(trajectory.turns) == 2


async def test_a_retriever_that_is_away_is_told_before_a_model_is_asked(tmp_path: Path) -> None:
    asked: list[Any] = []

    def answer(body: dict[str, Any]) -> Reply:
        asked.append(body)
        return said("\\boxed{x}")

    async with openai_server(answer) as url:
        spec = spec_for(url, "127.0.0.1:9", tmp_path, strategy="zero-shot", max_infrastructure_share=1.0)
        spec = spec.model_copy(update={"backends": spec.backends.model_copy(update={"deadline_s": 0.5})})
        run = tmp_path / "run"
        with pytest.raises(InfrastructureError, match="retriever"):
            await asyncio.to_thread(draw_matrix, spec, prepare(spec, run), run, Quiet(tmp_path))
    assert asked == []


async def test_a_suite_without_search_is_refused(retriever: ServiceProcess, tmp_path: Path) -> None:
    async with openai_server(lambda body: said("2")) as url:
        spec = spec_for(url, retriever.grpc, tmp_path, strategy="ircot")
        spec = spec.model_copy(update={"own": (spec.own[0].model_copy(update={"tools": ()}),)})
        with pytest.raises(UserError, match="offers no wikipedia_search"):
            await asyncio.to_thread(
                draw_matrix, spec, prepare(spec, tmp_path / "run"), tmp_path / "run", Quiet(tmp_path)
            )


def test_the_first_sentence() -> None:
    assert first_sentence(" One. Two. ") == "One." and first_sentence("No end") == "No end"
