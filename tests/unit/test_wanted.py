"""Which samples are drawn: until enough are right, within budgets, each number once; and what is said of it meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from mentor.rollout.budget import Budget, Ledger, Prices
from mentor.rollout.driver import Task
from mentor.rollout.tally import Tally, line
from mentor.rollout.variants import PromptVariant, as_asked, varied
from mentor.rollout.wanted import Wanted
from mentor.trajectory import Question, Termination, Trajectory, Turn
from mentor_teacher.estimate import estimated
from mentor_teacher.spec import TeacherSpec

QUESTIONS = [Question(id=f"q{n}", question=f"{n}?", answers=("1",)) for n in range(6)]
MODEL = {"url": "http://m:1", "name": "m"}


def drawn(task: Task, right: bool, tokens: int = 10, failed: bool = False) -> Trajectory:
    end = Termination.INFRASTRUCTURE if failed else Termination.ANSWERED
    turn = Turn(text="x", prompt_tokens=0, generated_tokens=tokens)
    return Trajectory(
        question_id=task.question.id, sample=task.sample, turns=(turn,), termination=end, metadata={"correct": right}
    )


def is_right(trajectory: Trajectory) -> bool:
    return bool(trajectory.metadata.get("correct"))


def knows(question: str, sample: int) -> bool:
    """q0 always, q1 every second time, q2 every third, and so on; q5 never."""
    number = int(question[1:])
    return number < 5 and sample % (number + 1) == number


async def run(
    wanted: Wanted, journal: dict[tuple[str, int], Trajectory], workers: int = 4, stop_after: int = 10**6
) -> list[tuple[str, int]]:
    """Draw with several workers, which end in any order; those in flight at the stop are lost."""
    taken: list[tuple[str, int]] = []

    async def worker(number: int) -> None:
        while len(taken) < stop_after and (task := await wanted.take()) is not None:
            taken.append((task.question.id, task.sample))
            await asyncio.sleep(0.001 * ((len(taken) + number) % 3))
            if len(taken) >= stop_after:
                return
            found = drawn(task, knows(task.question.id, task.sample))
            journal[task.question.id, task.sample] = found
            wanted.settle(task, found)

    async with asyncio.timeout(10):
        workers_ = [asyncio.create_task(worker(n)) for n in range(workers)]
        _, pending = await asyncio.wait(
            workers_, return_when=asyncio.ALL_COMPLETED if stop_after > 1000 else asyncio.FIRST_COMPLETED
        )
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    return taken


async def test_every_sample_is_drawn_once_first_samples_first() -> None:
    taken = await run(Wanted(QUESTIONS, 3, {}, is_right), {}, workers=1)
    assert taken == [(q.id, sample) for sample in range(3) for q in QUESTIONS]


async def test_a_question_is_drawn_until_enough_are_right_and_harder_ones_more_often() -> None:
    journal: dict[tuple[str, int], Trajectory] = {}
    wanted = Wanted(QUESTIONS, 12, journal, is_right, until_right=2)
    taken = await run(wanted, journal)
    assert Counter(name for name, _ in taken) == {"q0": 2, "q1": 4, "q2": 6, "q3": 8, "q4": 10, "q5": 12}
    assert len(set(taken)) == len(taken)
    for name in ("q0", "q3", "q5"):
        assert sorted(n for q, n in taken if q == name) == list(range(sum(q == name for q, _ in taken)))
    assert wanted.fraction == 1.0 and wanted.done


@pytest.mark.parametrize("stop_after", [3, 11, 25])
async def test_a_resumed_job_draws_again_only_what_was_in_flight(stop_after: int) -> None:
    journal: dict[tuple[str, int], Trajectory] = {}
    first = await run(Wanted(QUESTIONS, 12, journal, is_right, until_right=2), journal, stop_after=stop_after)
    kept = set(journal)
    second = await run(Wanted(QUESTIONS, 12, journal, is_right, until_right=2), journal)
    assert not kept & set(second)
    assert set(first) - kept >= set(first) & set(second) and len(set(first) & set(second)) <= 4
    for question in QUESTIONS[:5]:
        assert sum(is_right(t) for (name, _), t in journal.items() if name == question.id) >= 2


async def test_lost_samples_are_no_tries_and_are_drawn_by_the_next_attempt() -> None:
    question = QUESTIONS[:1]
    wanted = Wanted(question, 3, {}, is_right, until_right=1)
    first = await wanted.take()
    assert first is not None
    lost = drawn(first, False, failed=True)
    wanted.settle(first, lost)
    second = await wanted.take()
    assert second is not None and second.sample == 1
    again = Wanted(question, 3, {("q0", 0): lost}, is_right, until_right=1)
    task = await again.take()
    assert task is not None and task.sample == 0


def ledger(tmp_path: Path, **budget: float) -> Ledger:
    prices = Prices(price_in=0.0, price_out=1e6)
    return Ledger(Budget.model_validate(budget), prices, tmp_path / "spent.json")


@pytest.mark.parametrize(("budget", "name"), [({"tokens": 100}, "tokens"), ({"money": 100}, "money")])
async def test_a_budget_ends_the_drawing_and_what_is_in_flight_still_fits(
    tmp_path: Path, budget: dict[str, float], name: str
) -> None:
    book, journal = ledger(tmp_path, **budget), {}
    wanted = Wanted(QUESTIONS, 12, journal, is_right, ledger=book)
    taken = await run(wanted, journal)  # ten tokens, and ten of money, each
    assert wanted.stopped_by == name
    assert len(taken) == len(journal) == 10
    assert (book.spent.generated_tokens, book.spent.money) == (100.0, pytest.approx(100.0))


async def test_hours_count_over_attempts(tmp_path: Path) -> None:
    (tmp_path / "spent.json").write_text(json.dumps({"seconds": 3599.99}))
    book = ledger(tmp_path, hours=1.0)
    await asyncio.sleep(0.05)
    assert book.used_up() == "hours"
    wanted = Wanted(QUESTIONS, 1, {}, is_right, ledger=book)
    assert await wanted.take() is None and wanted.stopped_by == "hours"


def test_a_job_that_needs_no_more_has_used_up_no_budget(tmp_path: Path) -> None:
    task = Task(question=QUESTIONS[0])
    journal = {("q0", 0): drawn(task, True, tokens=1000)}
    book = Ledger(Budget(tokens=100), Prices(), tmp_path / "spent.json", journal.values())
    wanted = Wanted(QUESTIONS[:1], 1, journal, is_right, ledger=book)
    assert asyncio.run(wanted.take()) is None and wanted.stopped_by is None


def test_a_tally_counts_by_reason_and_tells_rate_and_time_left() -> None:
    now = 0.0
    tally = Tally(lambda: now)
    task = Task(question=QUESTIONS[0])
    tally.figures(0.0)
    now = 10.0
    tally.add(drawn(task, True, tokens=300), True)
    tally.add(drawn(task, False, failed=True), False)
    figures = tally.figures(0.25)
    assert figures == {"right": 1, "lost": 1, "tokens_per_s": 31.0, "eta_s": 30}
    assert line(figures) == "1 right, 1 lost; 31 tokens/s, 0:30 left"


async def test_prompts_take_turns_by_sample_and_stay_with_the_trajectory() -> None:
    variants = [PromptVariant(template="Solve {question}"), PromptVariant(system="Be terse.")]

    async def echo(question: Question, *_: object, sample: int = 0) -> Trajectory:
        said = " | ".join(message["content"] for message in question.messages or ())
        return Trajectory(question_id=question.id, sample=sample, turns=(Turn(text=said),))

    ask = varied(echo, variants, "Default.")  # type: ignore[arg-type]
    found = [await ask(QUESTIONS[3], None, None, None, None, sample=n) for n in range(3)]  # type: ignore[arg-type]
    assert [t.turns[0].text.split("\n")[0] for t in found] == [
        "Default. | Solve 3?", "Be terse. | Question: 3?", "Default. | Solve 3?",
    ]  # fmt: skip
    assert [t.metadata["prompt"] for t in found[:2]] == [
        {"index": 0, "template": "Solve {question}"}, {"index": 1, "system": "Be terse."},
    ]  # fmt: skip
    assert (as_asked(QUESTIONS[3], found[0]).messages or ())[-1]["content"] == "Solve 3?"
    own = QUESTIONS[0].model_copy(update={"messages": ({"role": "user", "content": "mine"},)})
    assert "prompt" not in (await ask(own, None, None, None, None, sample=0)).metadata  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"until_right": 3, "samples": 2}, "until_right is 3; allowed: at most samples, which is 2"),
        ({"budget": {"money": 5}}, "budget.money needs prices"),
        ({"budget": {"tokens": 0}}, "greater than or equal to 1"),
        ({"prompts": [{}]}, "gives system, template, or both"),
        ({"prompts": [{"template": "no place"}]}, "template must hold {question} once"),
        ({"concurrency": "much"}, "auto"),
        ({"concurrency": 5000}, "less than or equal to 4096"),
        ({"tools": "file:x/tools.py", "sandbox_tools": ["docs__search"]}, "exclude each other"),
        ({"model": {"path": "/m", "replicas": ["http://a"]}}, "replicas go with url"),
        ({"model": {**MODEL, "replicas": ["a:1"]}}, "allowed: http://"),
    ],
)
def test_a_spec_that_cannot_work_is_refused_by_field(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TeacherSpec.model_validate({"model": MODEL, "questions": "q.jsonl", **fields})
    assert told in str(caught.value)


def test_an_estimate_is_the_mean_of_questions_with_students_interval() -> None:
    spec = TeacherSpec.model_validate(
        {"model": MODEL, "questions": "q.jsonl", "samples": 3, "price_out": 1e6, "budget": {"money": 1000}}
    )
    some = [
        drawn(Task(question=QUESTIONS[number], sample=sample), True, tokens=tokens)
        for number, tokens in enumerate((10, 20, 30))
        for sample in range(2)
    ]
    found = estimated(spec, 100, [*some, drawn(Task(question=QUESTIONS[0], sample=2), False, failed=True)])
    assert found.probed == 3 and found.samples is not None and found.money is not None
    assert (found.samples.total, found.samples.low, found.samples.high) == (200.0, 200.0, 200.0)
    assert found.money.total == pytest.approx(4000)
    half = 4.303 * 20 / 3**0.5 * 100  # Student's t of two degrees of freedom, deviation 20 a question
    assert found.money.high == pytest.approx(4000 + half, rel=0.02) and found.money.low == 0.0
    assert found.within_budget is False
