"""BFCL v4 whole (``make bfcl-proof``): every entry of every category, in both modes."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mentor.inference import Endpoint, OpenAIChatClient, OpenAIServer, SamplingParams
from mentor.rollout import ChatPolicy
from mentor_evaluator.bfcl.aggregate import aggregate
from mentor_evaluator.bfcl.bench import Bench
from mentor_evaluator.bfcl.categories import ALL, FORMAT_SENSITIVITY, MEMORY, MULTI_TURN, SIZES, Mode
from mentor_evaluator.bfcl.results import read_results, write_results
from tests.integration.test_bfcl_entries import official, ours
from tests.support.bfcl_gold import UNATTAINABLE, gold, spoiled
from tests.support.bfcl_model import GoldModel
from tests.support.bfcl_official import MODEL, overall, scores
from tests.support.openai_server import openai_server

CASES = [(mode, name) for mode in ("fc", "prompt") for name in ALL if mode == "prompt" or name != FORMAT_SENSITIVITY]


@pytest.fixture(scope="module", params=["fc", "prompt"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(request.param, tmp_path_factory.mktemp("memory")) as started:
        yield started


def test_entries_equal_the_package_s_own(tmp_path: Path) -> None:
    assert {name: ours(name) for name in ALL} == official(tmp_path, list(ALL))


@pytest.mark.parametrize("category", ALL)
def test_gold_is_right_and_one_changed_field_wrong_for_every_entry(bench: Bench, category: str) -> None:
    if (bench.mode, category) not in CASES:
        return
    right = asyncio.run(bench.score(gold(category, bench.mode)))
    assert len(right) == SIZES[category]
    missed = {verdict.id.split(":")[0] for verdict in right if not verdict.valid}
    assert missed == {i for i in UNATTAINABLE if i in {verdict.id.split(":")[0] for verdict in right}}
    wrong = asyncio.run(bench.score(spoiled(category, bench.mode)))
    assert sum(verdict.valid for verdict in wrong) == 0
    print(f"{bench.mode} {category}: gold {len(right) - len(missed)} of {len(right)}, spoiled 0 of {len(wrong)}")


@pytest.mark.parametrize("mode", ["fc", "prompt"])
def test_the_official_scorer_gives_the_same_numbers_in_every_category(tmp_path: Path, mode: Mode) -> None:
    chance = random.Random(1)
    categories = [name for m, name in CASES if m == mode]
    pairs = ((g, s) for name in categories for g, s in zip(gold(name, mode), spoiled(name, mode), strict=True))
    rows = [g if chance.random() < 0.6 else s for g, s in pairs]
    write_results(({"id": i, "result": result} for i, result in rows), tmp_path / "result" / MODEL)
    command = [sys.executable, "-m", "tests.support.bfcl_official", str(tmp_path), mode, *categories]
    subprocess.run(command, check=True, capture_output=True)
    with Bench(mode, tmp_path) as bench:
        read = read_results(tmp_path / "result")
        found = aggregate(asyncio.run(bench.score((row["id"], row["result"]) for row in read)))
    assert {name: (s.accuracy, s.scored) for name, s in found.categories.items()} == scores(tmp_path)
    table = overall(tmp_path)
    columns = {"Overall Acc": found.overall, "Non-Live AST Acc": found.groups["non_live"], "Live Acc": found.groups["live"],
               "Multi Turn Acc": found.groups["multi_turn"], "Web Search Acc": found.groups["web_search"],
               "Memory Acc": found.groups["memory"], "Irrelevance Detection": found.groups["irrelevance"]}  # fmt: skip
    assert {name: table[name] for name in columns} == {name: f"{g.official:.2%}" for name, g in columns.items()}
    if mode == "prompt":
        spread = found.format_sensitivity
        assert spread is not None
        assert table["Format Sensitivity Max Delta"] == str(spread.max_delta)
        assert table["Format Sensitivity Standard Deviation"] == str(spread.std)
    print(f"{mode}: overall {found.overall.official:.2%}, {len(categories)} categories equal")


@pytest.mark.parametrize("category", [name for name in ALL if not name.startswith("web_search")])
async def test_gold_through_server_loop_and_simulators(bench: Bench, category: str, tmp_path: Path) -> None:
    """Web search needs a key; its results are scored above."""
    if (bench.mode, category) not in CASES or category in bench.not_run([category]):
        print(f"{bench.mode} {category}: not run: {bench.not_run([category]).get(category)}")
        return
    model = GoldModel([category], bench.mode)
    gate = asyncio.Semaphore(64)
    async with openai_server(identified=model.answer) as url:
        server = OpenAIServer(Endpoint(url=url, model=MODEL))
        policy = ChatPolicy(OpenAIChatClient(server), MODEL)

        async def one(entry_id: str) -> tuple[str, object]:
            async with gate:
                outcome = await bench.run(entry_id, policy, SamplingParams(temperature=0.0, max_tokens=2048))
            return outcome.id, outcome.record["result"]

        items = await asyncio.gather(*map(one, bench.entry_ids(category)))
        await server.close()
    verdicts = await bench.score(items)
    missed = {verdict.id.split(":")[0] for verdict in verdicts if not verdict.valid}
    assert missed == {i for i in UNATTAINABLE if i in {verdict.id.split(":")[0] for verdict in verdicts}}
    kind = "conversations" if category in (*MULTI_TURN, *MEMORY) else "requests"
    print(f"{bench.mode} {category}: {len(verdicts) - len(missed)} of {len(verdicts)} {kind} right")
