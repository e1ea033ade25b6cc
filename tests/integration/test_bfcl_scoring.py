"""BFCL's scorer, in its disposable processes: gold is right, a changed field is wrong, and no output gets out of its walls."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mentor.errors import InfrastructureError, UserError
from mentor_evaluator.bfcl.aggregate import aggregate
from mentor_evaluator.bfcl.bench import Bench
from mentor_evaluator.bfcl.categories import AGENTIC, AST, MULTI_TURN, SCORED, Mode
from mentor_evaluator.bfcl.processes import Processes
from mentor_evaluator.bfcl.results import mode_of, read_results, write_results
from mentor_evaluator.bfcl.scoring import Item, Scorer, ScoringLimits, Verdict
from tests.support.bfcl_gold import UNATTAINABLE, gold, spoiled
from tests.support.bfcl_official import MODEL, overall, scores
from tests.support.waiting import eventually

SINGLE = [name for name in SCORED if name not in MULTI_TURN]


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as started:
        yield started


def score(processes: Processes, items: list[Item], mode: Mode = "fc", seconds: float = 20.0) -> list[Verdict]:
    return asyncio.run(Scorer(processes, mode, limits=ScoringLimits(seconds=seconds)).score(items))


def wrong(verdicts: list[Verdict]) -> set[str]:
    return {verdict.id for verdict in verdicts if not verdict.valid}


@pytest.mark.parametrize("mode", ["fc", "prompt"])
def test_gold_is_right_wherever_the_checker_lets_it_and_one_changed_field_is_wrong(
    processes: Processes, mode: Mode
) -> None:
    right = score(processes, [item for name in SINGLE for item in gold(name, mode)], mode)
    assert len(right) == 4306
    assert wrong(right) == {entry_id for entry_id in UNATTAINABLE if entry_id.split("_")[0] != "format"}
    changed = score(processes, [item for name in SINGLE for item in spoiled(name, mode)], mode)
    assert wrong(changed) == {verdict.id for verdict in changed}


@pytest.mark.parametrize("mode", ["fc", "prompt"])
def test_so_it_is_for_conversations(processes: Processes, mode: Mode) -> None:
    for name in MULTI_TURN:
        assert wrong(score(processes, gold(name, mode)[::25], mode)) == set()
        changed = score(processes, spoiled(name, mode)[::25], mode)
        assert len(wrong(changed)) == len(changed) == 8


def test_order_repetition_and_company_change_nothing(processes: Processes) -> None:
    conversations = [pair for n in (3, 60) for pair in (spoiled("multi_turn_base")[n], gold("multi_turn_base")[n])]
    items = [*gold("parallel")[:40], *spoiled("parallel")[:40], *conversations]
    alone = score(processes, items)
    assert [verdict.valid for verdict in alone[80:]] == [False, True, False, True]
    order = list(range(len(items))) * 2
    random.Random(0).shuffle(order)
    again = score(processes, [items[n] for n in order])
    assert again == [alone[n] for n in order]


def attacks(target: Path) -> dict[str, tuple[str, Mode, Any]]:
    """Outputs that try to get out, by name: entry, mode, result. Each holds the right answer as well, where it can."""
    system = f"__import__('os').system('touch {target}')"
    turns = dict(gold("multi_turn_base"))["multi_turn_base_1"]
    texts = dict(gold("multi_turn_base", "prompt"))["multi_turn_base_1"]

    def in_turn(step: Any, mode: Mode) -> Any:
        first, *rest = turns if mode == "fc" else texts
        return [[step, *first], *rest]

    def call(name: str, **arguments: Any) -> Any:
        return [{name: json.dumps(arguments)}]

    return {
        "writes, by a function's name": ("multi_turn_base_1", "fc", in_turn(call(f"{system} or ls"), "fc")),
        "writes, by a parameter's name": (
            "multi_turn_base_1",
            "fc",
            in_turn(call("ls", **{f"a={system}, b": 1}), "fc"),
        ),
        "writes, by keywords": ("multi_turn_base_1", "prompt", in_turn(f"[open(file='{target}', mode='w')]", "prompt")),
        "writes, nested": (
            "multi_turn_base_1",
            "prompt",
            in_turn(f"[ls(a=open(file='{target}', mode='w'))]", "prompt"),
        ),
        "imports": ("multi_turn_base_1", "prompt", in_turn("[importlib.import_module(name='this')]", "prompt")),
        "exits": ("multi_turn_base_1", "prompt", in_turn("[exit()]", "prompt")),
        "hangs": ("multi_turn_base_1", "fc", in_turn(call("sum(iter(int, 1)) or ls"), "fc")),
        "forks": ("multi_turn_base_1", "fc", in_turn(call("ls().__class__.__base__ or ls"), "fc")),
        "spoils the truth": ("multi_turn_base_1", "fc", in_turn(call("involved_instances.clear() or ls"), "fc")),
        "writes in arithmetic": ("simple_python_0", "prompt", f"[calculate_triangle_area(base=10+{system}, height=5)]"),
        "hangs in arithmetic": ("simple_python_0", "prompt", "[calculate_triangle_area(base=9**9**9**9, height=5)]"),
        "no call, in arithmetic": ("irrelevance_0", "prompt", f"[f(x=1+{system})]"),
        "deep": ("simple_python_0", "prompt", "[f(x=" + "[" * 5000 + "]" * 5000 + ")]"),
        "deeper": ("simple_python_0", "fc", [{"f": "[" * 200_000}]),
        "backtracks": ("simple_python_0", "prompt", "[f(x=" + "(" * 150 + ")"),
        "megabytes": ("simple_java_0", "prompt", "[" + "a." * 500_000 + "]"),
    }


def test_every_attack_is_contained_scored_wrong_and_harms_nobody_beside_it(
    processes: Processes, tmp_path: Path
) -> None:
    target = tmp_path / "written"
    innocent = gold("simple_python")[1:40]
    for mode in ("fc", "prompt"):
        tried = [(entry, result) for entry, m, result in attacks(target).values() if m == mode]
        beside = innocent if mode == "fc" else gold("simple_python", "prompt")[1:40]
        verdicts = score(processes, [*beside[:20], *tried, *beside[20:]], mode, seconds=2.0)
        assert wrong(verdicts[:20]) == wrong(verdicts[-19:]) == set()
        assert {verdict.valid for verdict in verdicts[20:-19]} == {False}
    assert not target.exists()


def test_what_gets_past_the_vetting_meets_the_walls(tmp_path: Path) -> None:
    """The vetting left out: the audit hook still refuses files, processes and sockets, and says so."""
    program = """
import os, sys
from mentor_evaluator.bfcl.child.walls import Guard, confine
confine()
guard, refused = Guard(), []
for attack in sys.argv[1:]:
    guard.seen = None
    try:
        with guard.armed():
            eval(attack)
    except PermissionError:
        pass
    refused.append(guard.seen)
print(refused)
"""
    target = tmp_path / "written"
    tried = [
        f"open({str(target)!r}, 'w')", "os.system('true')", "os.fork()", "__import__('socket').socket()",
        "__import__('subprocess').Popen(['true'])", "os.remove('/etc/hostname')", "__import__('ctypes').CDLL(None)",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program, *tried], capture_output=True, text=True, check=True)
    events = ["open", "os.system", "os.fork", "socket.__new__", "subprocess.Popen", "os.remove", "ctypes.dlopen"]
    assert done.stdout.strip() == str(events)
    assert not target.exists()


def test_only_what_ends_a_second_process_is_to_blame(processes: Processes) -> None:
    """Processes killed from outside cost nobody a verdict."""
    items = gold("live_multiple")

    async def under_fire() -> list[Verdict]:
        running = asyncio.create_task(Scorer(processes, "fc").score(items))
        while not (children := _children(processes.pid)):
            await asyncio.sleep(0.001)
        for child in children:
            os.kill(child, signal.SIGKILL)
        return await running

    assert wrong(asyncio.run(under_fire())) == {i for i in UNATTAINABLE if i.startswith("live_multiple")}


def test_a_warm_process_that_was_killed_is_replaced_and_none_is_left_at_the_end() -> None:
    with Processes() as processes:
        assert wrong(score(processes, gold("simple_python")[:5])) == set()
        first = processes.pid
        os.kill(first, signal.SIGKILL)
        assert wrong(score(processes, gold("multiple")[:5])) == set()
        second = processes.pid
        assert second != first
    eventually(lambda: not Path(f"/proc/{second}").exists())


def test_what_keeps_the_processes_from_their_work_is_ours_and_no_verdict() -> None:
    with Processes() as processes, pytest.raises(InfrastructureError):
        processes.load("import", "a_module_that_is_not_there")
        score(processes, gold("simple_python")[:5])


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@pytest.mark.parametrize("mode", ["fc", "prompt"])
def test_the_official_scorer_gives_the_same_numbers_on_the_same_files(tmp_path: Path, mode: Mode) -> None:
    categories = [
        "simple_java",
        "multiple",
        "live_parallel",
        "irrelevance",
        "live_relevance",
        "memory_kv",
        "multi_turn_base",
    ]
    chance = random.Random(1)
    rows = []
    for name in categories:
        pairs = list(zip(gold(name, mode), spoiled(name, mode), strict=True))[:24]
        rows += [chance.choice(pair) for pair in pairs]
    write_results(({"id": i, "result": result} for i, result in rows), tmp_path / "result" / MODEL)
    command = [sys.executable, "-m", "tests.support.bfcl_official", str(tmp_path), mode, *categories]
    subprocess.run(command, check=True, capture_output=True)
    read = read_results(tmp_path / "result")
    assert mode_of(read) == mode
    with Bench(mode, tmp_path) as bench:
        found = aggregate(asyncio.run(bench.score((row["id"], row["result"]) for row in read)))
    ours = {name: (score.accuracy, score.scored) for name, score in found.categories.items()}
    assert ours == scores(tmp_path)
    table = overall(tmp_path)
    assert table["Overall Acc"] == f"{found.overall.official:.2%}"
    assert table["Non-Live AST Acc"] == "N/A" and found.groups["non_live"].partial
    assert table["Multi Turn Acc"] == f"{found.groups['multi_turn'].official:.2%}"


def test_files_of_results_that_are_none_are_refused_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no BFCL"):
        read_results(tmp_path)
    for line, said in (
        ("{", "is not JSON"),
        ('{"id": "x"}', "is no result"),
        ('{"id": "x_1", "result": 1}', "no id of BFCL"),
    ):
        file = tmp_path / "BFCL_v4_simple_python_result.json"
        file.write_text(f'{{"id": "simple_python_0", "result": []}}\n{line}\n')
        with pytest.raises(UserError, match=said) as raised:
            read_results(file)
        assert ":2" in str(raised.value)


def test_every_category_is_scored_somewhere() -> None:
    assert set(SINGLE) | set(MULTI_TURN) == set(SCORED) and set(AST) < set(SINGLE) and set(AGENTIC) < set(SINGLE)
