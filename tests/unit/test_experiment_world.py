"""The experiment's world: sets that share nothing, answers that the tools give, prompts as the templates render them."""

from __future__ import annotations

import random

import pytest

from experiments.world import habits
from experiments.world.build import COUNTS, WORLDS
from experiments.world.families import student_tokenizer, teacher_tokenizer, training_problem
from experiments.world.operations import OPERATIONS, STEP_NAMES, held_out_pair, source
from experiments.world.pretrain import Diet, Encoder, batches
from experiments.world.questions import (
    LARGE,
    OFFERED,
    SMALL,
    SPLITS,
    UNTRAINED,
    Problem,
    Shares,
    has_held_out_pair,
    is_test,
    problems,
    question,
    sample,
)
from mentor.chat.formats import load_format
from mentor.chat.hermes import parse_tool_calls
from mentor.tools.registry import ToolRegistry

SHARES = Shares()
GOOD = habits.Habits(first={"right": 1.0}, later={"right": 1.0}, failed={"right": 1.0})


def drawn(split: str, seed: int = 0, count: int = 60) -> list[Problem]:
    return problems(split, count, seed, SHARES)  # type: ignore[arg-type]


def test_evaluation_training_and_pretraining_share_no_question() -> None:
    evaluated = {
        p.identity for world in WORLDS.values() for s in SPLITS[1:] for p in problems(s, COUNTS[s], 0, world.shares)
    }
    trained = {p.identity for world in WORLDS.values() for p in problems("train", COUNTS["train"], 0, world.shares)}
    rng = random.Random(5)
    read = {training_problem(rng, SHARES).identity for _ in range(3000)}
    assert len(evaluated) > 300 and not evaluated & trained and not evaluated & read


@pytest.mark.parametrize("seed", [0, 1])
def test_each_set_is_out_of_domain_along_its_own_axis_alone(seed: int) -> None:
    for split in SPLITS:
        for p in drawn(split, seed):
            operations = [step.operation for step in p.steps]
            assert is_test(p) == (split != "train")
            assert has_held_out_pair(operations) == (split == "ood_combinations")
            assert (max(step.before for step in p.steps) > SMALL.limit) == (split == "ood_numbers")
            assert bool(set(operations) & set(UNTRAINED)) == (split == "ood_tools")
            assert split == "ood_tools" or not set(p.names) & set(UNTRAINED)
            assert len(p.names) == OFFERED and set(operations) <= set(p.names)
    assert drawn("train", seed) == drawn("train", seed)


def test_pretraining_reads_no_held_out_pair_or_question() -> None:
    rng = random.Random(0)
    for _ in range(500):
        p = training_problem(rng, SHARES)
        assert not is_test(p)
        assert not has_held_out_pair([step.operation for step in p.steps])


def test_a_question_carries_tools_that_give_its_answer() -> None:
    registry = ToolRegistry()
    for split in SPLITS:
        for index, p in enumerate(drawn(split, count=20)):
            asked = question(p, f"q{index}")
            scope: dict[str, object] = {}
            exec(asked.env or "", scope)
            specs = {spec.name: spec for spec in registry.for_question(asked)}
            value = p.start
            for step in p.steps:
                name = p.names[step.operation]
                assert set(specs[name].parameters["properties"]) == set(OPERATIONS[step.operation].parameters)
                value = scope[name](*([value] if step.number is None else [value, step.number]))  # type: ignore[operator]
            assert (str(value),) == asked.answers


def test_the_order_of_steps_matters() -> None:
    def reversed_answer(p: Problem) -> int | None:
        value = p.start
        for step in reversed(p.steps):
            operation = OPERATIONS[step.operation]
            value = operation.run(value) if step.number is None else operation.run(value, step.number)
        return value

    chains = [p for p in drawn("train", count=200) if len(p.steps) > 1]
    assert sum(reversed_answer(p) != p.answer for p in chains) > 0.7 * len(chains)


def test_wrong_tools_are_sometimes_right() -> None:
    rng = random.Random(0)
    divided = [sample(rng, 1, SMALL, test=False) for _ in range(2000)]
    divided = [p for p in divided if p.steps[0].operation == "divide"]
    same = [OPERATIONS["divide_up"].run(p.start, p.steps[0].number) == p.answer for p in divided]
    assert 0.05 < sum(same) / len(same) < 0.6


def test_held_out_combinations_leave_every_step_some_neighbours() -> None:
    pairs = [(a, b) for a in STEP_NAMES for b in STEP_NAMES]
    assert 0.1 < sum(held_out_pair(*pair) for pair in pairs) / len(pairs) < 0.25
    assert all(any(not held_out_pair(a, b) for b in STEP_NAMES) for a in STEP_NAMES)


def test_sources_define_the_tool_under_its_name() -> None:
    scope: dict[str, object] = {}
    exec(source("divide_up", "kalo"), scope)
    assert scope["kalo"](7, 2) == 4  # type: ignore[operator]


@pytest.mark.parametrize("family", ["student", "teacher"])
def test_prompts_are_what_the_chat_template_renders_and_turns_parse(family: str) -> None:
    student = family == "student"
    words = student_tokenizer(0) if student else teacher_tokenizer(0)
    speaks = habits.STUDENT_FAMILY if student else habits.TEACHER_FAMILY
    chat, encoder, rng = load_format(words), Encoder(words), random.Random(2)
    calls = 0
    for numbers in (SMALL, LARGE):
        for _ in range(10):
            p = sample(rng, 3, numbers, test=False, names="varied")
            asked = [{"role": "user", "content": habits.user_text(p.text)}]
            assert encoder.prompt(p) == chat.render_prompt(asked, [spec.openai() for spec in p.tools])
            turns = [s.text for s in habits.dialogue(rng, p, GOOD, speaks) if s.learned]
            parsed = [chat.parse(encoder.text(turn)) for turn in turns]
            assert parsed[-1].answer == str(p.answer)
            calls += sum(len(turn.tool_calls) for turn in parsed)
            assert all(call.error is None for turn in turns for call in parse_tool_calls(turn)[1])
    assert calls == 60


def test_the_families_cut_the_same_text_differently() -> None:
    ours, theirs = student_tokenizer(0), teacher_tokenizer(0)
    cut = [words.convert_ids_to_tokens(words.encode("Take it 345 times.")) for words in (ours, theirs)]
    assert cut[0] != cut[1] and ours.chat_template != theirs.chat_template


def test_batches_are_the_same_for_one_seed() -> None:
    encoder = Encoder(student_tokenizer(0))
    diet = Diet(habits.STUDENT, habits.STUDENT_FAMILY, facts=0.3)
    first, second = (list(batches(encoder, diet, 2, 8, 7)) for _ in range(2))
    assert all((a[0] == b[0]).all() for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))
