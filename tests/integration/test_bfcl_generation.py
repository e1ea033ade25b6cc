"""BFCL drawn through an OpenAI-compatible server, the agent loop and the simulators: what is asked, answered and recorded."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mentor.inference import Endpoint, OpenAIChatClient, OpenAIServer, SamplingParams
from mentor.rollout import ChatPolicy
from mentor.trajectory import Termination
from mentor_evaluator.bfcl.bench import Bench
from mentor_evaluator.bfcl.categories import SEARCH_KEY, Mode, category_of
from mentor_evaluator.bfcl.entries import load_entries
from mentor_evaluator.bfcl.generate import GenerationLimits, Outcome
from mentor_evaluator.bfcl.memories import chain_of
from mentor_evaluator.bfcl.processes import Processes
from mentor_evaluator.bfcl.results import read_results, write_results
from mentor_evaluator.bfcl.simulators import Simulator, SimulatorLost
from tests.support.bfcl_model import GoldModel
from tests.support.openai_server import MODEL, Reply, openai_server, refused, said

SAMPLING = SamplingParams(temperature=0.0, max_tokens=512)
Identified = Callable[[dict[str, Any], str], Reply]


@asynccontextmanager
async def policy_for(answer: Identified) -> AsyncIterator[ChatPolicy]:
    async with openai_server(identified=answer) as url:
        server = OpenAIServer(Endpoint(url=url, model=MODEL, attempts=1))
        yield ChatPolicy(OpenAIChatClient(server), MODEL)
        await server.close()


async def draw(bench: Bench, answer: Identified, ids: list[str]) -> list[Outcome]:
    async with policy_for(answer) as policy:
        return list(await asyncio.gather(*(bench.run(entry_id, policy, SAMPLING) for entry_id in ids)))


def called(name: str, arguments: str = "{}") -> Reply:
    function = {"name": name, "arguments": arguments}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}


@pytest.mark.parametrize("mode", ["fc", "prompt"])
async def test_gold_through_server_loop_and_simulators_is_right(tmp_path: Path, mode: Mode) -> None:
    ids = [
        "simple_python_0", "simple_java_1", "parallel_multiple_3", "irrelevance_5", "live_relevance_3-3-0", "multi_turn_base_7",
        "multi_turn_miss_func_0", "multi_turn_miss_param_9", "multi_turn_long_context_1",
    ]  # fmt: skip
    ids.append(next(e["id"] for e in load_entries("memory_rec_sum") if e["scenario"] == "notetaker"))
    categories = list(dict.fromkeys(category_of(entry_id) for entry_id in ids))
    if mode == "prompt":
        categories.append("format_sensitivity")
        ids.append(next(e["id"] for e in load_entries("format_sensitivity") if "concise_xml" in e["id"]))
    model = GoldModel(categories, mode, ids)
    with Bench(mode, tmp_path / "memory") as bench:
        outcomes = await draw(bench, model.answer, ids)
        verdicts = await bench.score((outcome.id, outcome.record["result"]) for outcome in outcomes)
        assert [verdict.id for verdict in verdicts if not verdict.valid] == []
        assert {outcome.termination for outcome in outcomes} == {Termination.ANSWERED}
        files = write_results(
            [*(outcome.record for outcome in outcomes), *bench.memories.records()], tmp_path / "result"
        )
    assert tmp_path / "result/agentic/memory/rec_sum/BFCL_v4_memory_rec_sum_prereq_result.json" in files
    assert {row["id"] for row in read_results(tmp_path / "result")} == set(ids)
    _check_what_was_asked(model, mode)


def _check_what_was_asked(model: GoldModel, mode: Mode) -> None:
    offered = [{tool["function"]["name"] for tool in body.get("tools", [])} for body in model.requests]
    if mode == "prompt":
        assert not any(offered)
        assert any("concise" not in text and "<functions><function" in text for text in _systems(model))
        shown = [m["content"] for body in model.requests for m in body["messages"] if m["role"] == "user"]
        assert any(text.startswith("[{'role': 'tool', 'name': ") for text in shown)
        return
    conversation = [
        (body, names)
        for body, names in zip(model.requests, offered, strict=True)
        if "mv" in names and len(body["messages"]) > 1
    ]
    held_back = [names for body, names in conversation if "sort" not in names]
    assert held_back, "the function that miss_func holds back is missing at first"
    assert any(
        "I have updated some more functions" in str(body["messages"]) and "sort" in names
        for body, names in conversation
    )
    assert all("." not in name for names in offered for name in names)


def _systems(model: GoldModel) -> list[str]:
    return [body["messages"][0]["content"] for body in model.requests]


async def test_a_memory_is_filled_once_per_scenario_and_a_later_attempt_goes_on_from_there(tmp_path: Path) -> None:
    ids = [e["id"] for e in load_entries("memory_kv") if e["scenario"] == "finance"][:4]
    chain = chain_of("memory_kv")[ids[0]]
    model = GoldModel(["memory_kv"], "fc")
    with Bench("fc", tmp_path) as bench:
        outcomes = await draw(bench, model.answer, ids)
    assert {outcome.termination for outcome in outcomes} == {Termination.ANSWERED}
    assert all("no content in the core memory" in text for text in _systems(model)), "notes went to the archive"
    kept = json.loads((tmp_path / "sample_0" / "fc" / f"{chain[-1]}.json").read_text())
    said_in = [e for e in load_entries("memory_kv", prerequisites=True) if e["id"] in chain]
    assert len(kept["snapshot"]["archival_memory"]) == sum(len(e["question"]) for e in said_in) > len(chain)
    again = GoldModel(["memory_kv"], "fc")
    with Bench("fc", tmp_path) as bench:
        await draw(bench, again.answer, ids)
    assert len(again.requests) == len(ids)


async def test_a_memory_lost_to_an_outage_loses_its_questions_and_is_not_kept(tmp_path: Path) -> None:
    entry_id = next(e["id"] for e in load_entries("memory_rec_sum") if e["scenario"] == "notetaker")
    with Bench("fc", tmp_path) as bench:
        (outcome,) = await draw(bench, lambda body, request_id: (503, {"error": "gone"}), [entry_id])
    assert outcome.failed and outcome.id == entry_id and outcome.record == {}
    assert list(tmp_path.rglob("*.json")) == []


async def test_a_call_that_cannot_be_read_ends_the_turn_and_the_next_user_turn_follows(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def answer(body: dict[str, Any], request_id: str) -> Reply:
        seen.append(body)
        return called("cd", "{not json")

    with Bench("fc", tmp_path) as bench:
        (outcome,) = await draw(bench, answer, ["multi_turn_base_0"])
    turns = len(next(e for e in load_entries("multi_turn_base") if e["id"] == "multi_turn_base_0")["question"])
    assert len(seen) == turns
    assert outcome.record["result"] == [[[{"cd": "{not json"}]]] * turns
    assert [m["role"] for m in seen[-1]["messages"]].count("user") == turns


async def test_a_model_that_never_stops_calling_is_given_up_as_officially(tmp_path: Path) -> None:
    with Bench("fc", tmp_path, generation=GenerationLimits(steps=3)) as bench:
        (outcome,) = await draw(bench, lambda body, request_id: called("ls"), ["multi_turn_base_0"])
        assert outcome.termination is Termination.MAX_TURNS
        assert [len(turn) for turn in outcome.record["result"]] == [4]
        (verdict,) = await bench.score([(outcome.id, outcome.record["result"])])
    assert verdict.reason == "multi_turn:force_terminated"


async def test_a_full_context_is_the_samples_end_and_counted_as_what_it_is(tmp_path: Path) -> None:
    def answer(body: dict[str, Any], request_id: str) -> Reply:
        return refused(400, "This model's maximum context length is 10 tokens")

    with Bench("fc", tmp_path) as bench:
        outcomes = await draw(bench, answer, ["multi_turn_base_0", "simple_python_0"])
        verdicts = await bench.score((outcome.id, outcome.record["result"]) for outcome in outcomes)
    assert {outcome.termination for outcome in outcomes} == {Termination.LENGTH}
    assert all(str(outcome.record["result"]).startswith("Error during inference") for outcome in outcomes)
    assert not any(verdict.valid for verdict in verdicts)


async def test_hostile_calls_reach_no_further_than_the_simulators_and_hanging_ones_end_the_sample(
    tmp_path: Path,
) -> None:
    target = tmp_path / "written"
    calls = [f"__import__('os').system('touch {target}') or ls", "exit", "sum(iter(int, 1)) or ls"]

    def answer(body: dict[str, Any], request_id: str) -> Reply:
        number = int(request_id.rsplit("-", 1)[1])
        return called(calls[number]) if number < len(calls) else said("done")

    with Bench("fc", tmp_path, generation=GenerationLimits(call_s=0.5)) as bench:
        (outcome,) = await draw(bench, answer, ["multi_turn_base_0"])
        innocent = await draw(bench, GoldModel(["multi_turn_base"], "fc").answer, ["multi_turn_base_1"])
        (verdict,) = await bench.score([(innocent[0].id, innocent[0].record["result"])])
    assert not target.exists() and verdict.valid
    seen = outcome.trajectories[0].observations
    assert [(o.ok, o.executed) for o in seen[:2]] == [(False, False), (False, False)]


async def test_simulators_that_were_killed_go_on_where_they_were_and_a_call_that_ends_two_is_to_blame(
    tmp_path: Path,
) -> None:
    with Bench("fc", tmp_path) as bench:
        processes = bench._processes["plain"]
        start = {"do": "start", "id": "multi_turn_base_0", "mode": "fc"}
        async with Simulator(processes, start, "fc", call_s=0.5) as simulator:
            await simulator.open()
            assert (await simulator.call("cd(folder='document')"))[1]
            for child in Path(f"/proc/{processes.pid}/task/{processes.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
            assert await simulator.call("pwd()") == ('{"current_working_directory": "/workspace/document"}', True)
            with pytest.raises(SimulatorLost):
                await simulator.call("sum(iter(int, 1))")


async def test_a_sample_out_of_time_is_set_aside_and_not_scored(tmp_path: Path) -> None:
    with Bench("fc", tmp_path, generation=GenerationLimits(sample_s=0.01)) as bench:
        (outcome,) = await draw(bench, lambda body, request_id: said("done"), ["multi_turn_base_0"])
    assert outcome.failed and outcome.error is not None and "took longer" in outcome.error


async def test_web_search_reaches_no_address_of_ours(tmp_path: Path) -> None:
    async with openai_server(lambda body: said("secret")) as url:
        with Processes(network=True) as processes:
            start = {"do": "start", "id": "web_search_base_0", "mode": "fc", "key": "none"}
            async with Simulator(processes, start, "fc", call_s=60) as simulator:
                opening = await simulator.open()
                content, executed = await simulator.call(f"fetch_url_content(url='{url}/v1/models')")
                # The server stands and answers; only the walls keep the call from it.
                refused_file, _ = await simulator.call("fetch_url_content(url='file:///etc/passwd')")
    assert executed and "not allowed here" in content and "scripted" not in content
    assert refused_file.startswith("Error during execution: Invalid URL")
    assert [tool["function"]["name"] for tool in opening.tools[0]] == ["search_engine_query", "fetch_url_content"]


async def test_what_cannot_run_says_why_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SEARCH_KEY, raising=False)
    monkeypatch.setenv("MENTOR_BFCL_ENCODER", str(tmp_path))
    with Bench("fc", tmp_path) as bench:
        why = bench.not_run(["simple_python", "web_search_base", "format_sensitivity", "memory_vector", "memory_kv"])
    assert set(why) == {"web_search_base", "format_sensitivity", "memory_vector"}
    assert SEARCH_KEY in why["web_search_base"] and "prompt mode" in why["format_sensitivity"]
    assert "holds no all-MiniLM-L6-v2" in why["memory_vector"]
