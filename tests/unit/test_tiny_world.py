"""The tiny world: its splits never overlap, its answers are right, and its files are what the generator writes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from examples.tiny import corpus, data, phrasings
from examples.tiny.dialogues import (
    MIXED,
    STUBBORN,
    TEACHER,
    Habit,
    dialogue,
    final_text,
    mixture_of,
    user_text,
)
from examples.tiny.tools import observe, toolset
from examples.tiny.world import (
    ALL_NAMES,
    COMBINATION_KINDS,
    KINDS_OF,
    RL_KINDS,
    SEARCH_KINDS,
    SPECS,
    Split,
    is_test,
    problems,
    run,
    sample,
)
from mentor.chat.hermes import parse_tool_calls
from mentor.data.questions import read_questions
from mentor.rollout.prompts import user_messages
from mentor.trajectory import Question, ToolCall

TINY = Path(__file__).parents[2] / "examples" / "tiny"
ALL_KINDS = RL_KINDS + COMBINATION_KINDS + SEARCH_KINDS
TESTS: tuple[Split, ...] = ("in_domain", "ood_phrasing", "ood_search")


def test_no_test_template_occurs_in_training() -> None:
    training = {template for kind in ALL_KINDS for template in phrasings.templates(kind, test=False)}
    for kind in ALL_KINDS:
        held_out = phrasings.templates(kind, test=True)
        assert held_out
        assert not training & set(held_out)


def test_no_test_operands_or_place_occur_in_training() -> None:
    rng = random.Random(1)
    seen = {sample(rng, kind, test=False).operands for kind in ALL_KINDS for _ in range(400)}
    seen |= {problem.operands for problem in problems("train", 400, 0)}
    asked = {problem.operands for split in TESTS for problem in problems(split, 60, 0)}
    assert not seen & asked
    assert not any(is_test(operands) for operands in seen if not isinstance(operands[0], str))
    places = {operands[0] for operands in asked if isinstance(operands[0], str)}
    assert places
    assert not places & {place.name for place in corpus.TRAINING}


def test_training_for_rl_never_needs_the_search_tool_or_a_held_out_combination() -> None:
    combinations = {tuple(step.tool for step in problem.plan) for problem in problems("train", 400, 0)}
    for split in ("ood_phrasing", "ood_search"):
        asked = {tuple(step.tool for step in problem.plan) for problem in problems(split, 60, 0)}
        assert not combinations & asked
    assert all("wikipedia_search" not in tools for tools in combinations)


def test_every_tool_is_needed_in_training_and_in_domain() -> None:
    for split in ("train", "in_domain"):
        used = {step.tool for problem in problems(split, 102, 0) for step in problem.plan}
        assert used == set(ALL_NAMES) - {"wikipedia_search"}


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_plans_run_with_the_real_tools_and_give_the_answer(kind: str) -> None:
    rng = random.Random(7)
    for index in range(30):
        problem = sample(rng, kind, test=bool(index % 2))
        steps = run(problem.plan)
        assert float(problem.answer) == pytest.approx(steps[-1].value, abs=1e-6)
        assert "{" not in problem.question
        assert all(len(step.text) < 120 for step in steps)


def test_checked_in_data_is_what_the_generator_writes(tmp_path: Path) -> None:
    for path in data.write(tmp_path, seed=0):
        assert path.read_bytes() == (TINY / path.relative_to(tmp_path)).read_bytes()


@pytest.mark.parametrize("split", list(KINDS_OF))
def test_question_files_load_and_offer_the_right_tools(split: str) -> None:
    path = TINY / "questions" / f"{split}.jsonl"
    questions = read_questions(path)
    assert len(questions) == data.SIZES[split]  # type: ignore[index]
    assert [Question.model_validate_json(line) for line in path.read_text().splitlines()] == questions
    offered = {len(question.tools or ()) for question in questions}
    assert offered == ({13} if split == "ood_search" else {12})
    assert len({question.question for question in questions}) > 0.95 * len(questions)


def test_the_corpus_holds_the_fact_that_every_search_question_needs() -> None:
    rows = [json.loads(line) for line in (TINY / "corpus.jsonl").read_text().splitlines()]
    contents = [row["contents"] for row in rows]
    assert len({row["id"] for row in rows}) == len(rows) >= 200
    for problem in problems("ood_search", 60, 0):
        place = corpus.BY_NAME[problem.place or ""]
        assert place.passage in contents
        assert str(place.value) in place.passage
        assert corpus.lookup(place.query) == place.passage


def test_the_user_message_is_the_agent_loops() -> None:
    assert user_text("What?") == user_messages("What?")[-1]["content"]


HARMFUL: tuple[Habit, ...] = ("guess", "wrong_tool", "stop_early")


@pytest.mark.parametrize("habit", HARMFUL)
def test_bad_habits_spoil_the_answer(habit: Habit) -> None:
    rng = random.Random(3)
    spoilt = 0
    for index in range(300):
        problem = sample(rng, ALL_KINDS[index % len(ALL_KINDS)], test=False)
        turns = dialogue(rng, problem, {habit: 1.0})
        spoilt += not turns[-1].text.startswith(final_text(problem.answer))
    assert spoilt > 270


def test_invalid_calls_fail_in_the_toolset_with_the_text_that_pretraining_showed() -> None:
    rng = random.Random(4)
    kinds = set()
    for index in range(200):
        problem = sample(rng, ALL_KINDS[index % len(ALL_KINDS)], test=False)
        first, shown, *_ = dialogue(rng, problem, {"invalid": 1.0})
        call = parse_tool_calls(first.text.removesuffix("<|im_end|>"))[1][0]
        observation = observe(call)
        kinds.add(observation.error_type)
        assert not observation.ok
        assert observation.content in shown.text
    assert kinds == {"malformed_call", "unknown_tool", "invalid_arguments"}


async def test_calls_run_in_process_show_what_the_toolset_shows() -> None:
    tools = toolset(ALL_NAMES)
    for name, arguments in (
        ("divide", {"numerator": 6, "denominator": 3}),
        ("divide", {"numerator": 6, "denominator": 0}),
        ("add", {"x": 5}),
        ("nope", {}),
        ("wikipedia_search", {"query": corpus.ALL[0].query, "top_n": 1}),
    ):
        call = ToolCall(name=name, arguments=arguments)
        assert await tools.run(call) == observe(call)
    assert observe(ToolCall(name="divide", arguments={"numerator": 6, "denominator": 3})).content == "2.0"


def test_mixtures_are_distributions_and_stubborn_habits_are_the_most_frequent() -> None:
    for mixture in (MIXED, TEACHER, *(mixture_of(kind) for kind in ALL_KINDS)):
        assert sum(mixture.values()) == pytest.approx(1)
    for kind, habit in STUBBORN.items():
        assert mixture_of(kind)[habit] > 0.5
    assert set(STUBBORN) <= set(ALL_KINDS)


def test_an_assistant_calls_only_tools_that_exist_when_it_behaves_well() -> None:
    rng = random.Random(5)
    for kind in ALL_KINDS:
        for segment in dialogue(rng, sample(rng, kind, test=False), {"good": 1.0}):
            for call in parse_tool_calls(segment.text)[1] if segment.learned else ():
                assert call.error is None
                assert call.name in SPECS
