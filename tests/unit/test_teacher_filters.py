"""Filters of the teacher: each drops what it is for, says why, takes its options, and leaves the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mentor.errors import UserError
from mentor.jobs import policy
from mentor.jobs.handler import spec_error
from mentor.rpc.principal import Principal, Role, acting_for
from mentor.trajectory import Observation, Question, Termination, ToolCall, Trajectory, Turn
from mentor_teacher.filters import FILTERS, Candidate, run_filter
from mentor_teacher.jobs import TeacherJob, verifiable_questions, wanted
from mentor_teacher.keeping import parse_uses
from mentor_teacher.select import select
from mentor_teacher.spec import TeacherSpec
from mentor_teacher.texts import numbers
from tests.support.drawn import SUM, drawn, question
from tests.unit.test_reach import texts

ASKED = question()


def whys(use: Any, *trajectories: Trajectory, asked: Question = ASKED) -> list[str | None]:
    (parsed,) = parse_uses([use])
    return run_filter(parsed, [Candidate(question=asked, trajectory=t) for t in trajectories])


def asked_whys(use: Any, *questions: Question) -> list[str | None]:
    (parsed,) = parse_uses([use])
    return run_filter(parsed, [Candidate(question=q, trajectory=drawn(q, SUM)) for q in questions])


def test_a_call_that_never_reached_a_tool_is_named() -> None:
    unknown = Observation(name="nope", content="no such tool", ok=False, executed=False, error_type="unknown_tool")
    turn = Turn(text="", tool_calls=(ToolCall(name="nope"),), observations=(unknown,))
    without = Turn(text="", tool_calls=(ToolCall(name="add"),))
    found = whys(
        "unexecuted_calls", drawn(ASKED, SUM), drawn(ASKED, turns=(turn,)), drawn(ASKED, turns=(without,)),
        drawn(ASKED, ("", "divide", {"numerator": 1, "denominator": 0}, "!division by zero")),
    )  # fmt: skip
    assert found == [None, "nope was not executed: unknown_tool", "1 calls have no result", None]


def test_failing_calls_are_dropped_unless_so_many_are_asked_for() -> None:
    bad = ("", "divide", {"numerator": 1, "denominator": 0}, "!division by zero")
    clean, once, twice = drawn(ASKED, SUM), drawn(ASKED, bad, SUM), drawn(ASKED, bad, bad, SUM)
    assert whys("failing_calls", clean, once) == [None, "1 failing, first divide: tool_error"]
    assert whys({"name": "failing_calls", "most": 1}, clean, once, twice)[:2] == [None, None]
    assert whys({"name": "failing_calls", "most": 1}, twice) != [None]


LEAKS: list[tuple[str, str, dict[str, Any], bool]] = [
    ("The answer will be 42, let me check.", "42", {}, True),
    ("So x = 1,042.0 clearly.", "1042", {}, True),
    ("I halve it: \\frac{1}{2}.", "1/2", {}, True),
    ("84/2 is what I need.", "42", {}, False),
    ("I add 40 and 2.", "42", {}, False),
    ("Step 7 of 9.", "7", {}, False),
    ("Step 7 of 9.", "7", {"ignore_below": 0}, True),
    ("<think>42 I guess</think>I add.", "42", {}, False),
    ("It is 420.", "42", {}, False),
    ("It is Paris, 42.", "Paris", {}, False),
]


@pytest.mark.parametrize(("said", "answer", "options", "leaks"), LEAKS)
def test_an_answer_before_its_evidence_is_found(said: str, answer: str, options: dict[str, Any], leaks: bool) -> None:
    asked = question(text="How much is it?", answer=answer)
    step = (said, "add", {"firstNumber": 40, "secondNumber": 2}, answer)
    (why,) = whys({"name": "early_answers", **options}, drawn(asked, step, answer=answer), asked=asked)
    assert (why is not None) is leaks, why


def test_evidence_that_came_first_and_numbers_of_the_question_leak_nothing() -> None:
    asked = question(text="How much is it?")
    after = drawn(asked, SUM, ("So 42. I check it.", "add", {"firstNumber": 2, "secondNumber": 40}, "42.0"))
    assert whys("early_answers", after, asked=asked) == [None]
    named = question(text="Is 42 more than 41?")
    says = drawn(named, ("42 it is.", "subtract", {"minuend": 42, "subtrahend": 41}, "1"))
    assert whys("early_answers", says, asked=named) == [None]
    assert whys({"name": "early_answers", "named_in_question": True}, says, asked=named) != [None]


def test_thoughts_arguments_and_answers_that_no_tool_returned_count_where_that_is_asked() -> None:
    asked = question(text="How much is it?")
    thought = drawn(asked, SUM)
    thought = thought.model_copy(
        update={"turns": (thought.turns[0].model_copy(update={"reasoning": "42!"}), thought.turns[1])}
    )
    argument = drawn(asked, ("", "add", {"firstNumber": 42, "secondNumber": 0}, "42"))
    alone = drawn(asked, ("", "add", {"firstNumber": 1, "secondNumber": 2}, "3"))
    assert whys("early_answers", thought, argument, alone, asked=asked) == [None, None, None]
    every = {"name": "early_answers", "reasoning": True, "arguments": True, "unproduced": True}
    assert whys(every, thought, argument, alone, asked=asked) == [
        "turn 1 says 42 before a tool returned it", "turn 1 says 42 before a tool returned it", "no tool returned 42",
    ]  # fmt: skip


def test_numbers_are_read_by_value() -> None:
    read = [str(value) for value in numbers("84/2, 1/2, 1,000.50 - 3, x=-5, −7, v2, 10.")]
    assert read == ["84", "2", "1", "2", "1/2", "2001/2", "3", "-5", "-7", "10"]


def test_bounds_of_length_are_inclusive_and_tokens_count_where_they_are_known() -> None:
    short, long = drawn(ASKED, SUM), drawn(ASKED, SUM, SUM, SUM)
    assert whys({"name": "length", "max_turns": 2}, short, long) == [None, "4 turns, more than 2"]
    assert whys({"name": "length", "min_calls": 2}, short, long) == ["1 calls, fewer than 2", None]
    assert whys({"name": "length", "max_tokens": 1}, short) == [None]
    counted = short.model_copy(update={"turns": tuple(t.model_copy(update={"token_ids": (1, 2)}) for t in short.turns)})
    assert whys({"name": "length", "max_tokens": 3}, counted) == ["4 tokens, more than 3"]


def test_near_duplicates_are_dropped_after_the_first_and_other_numbers_are_other_questions() -> None:
    text = "Anna has 12 red apples and gives 5 of them to her brother. How many apples does Anna have left now?"
    asked = [
        question("a", text),
        question("b", text.replace("red ", "")),
        question("c", text.replace("12", "13")),
        question("d", "A train travels for three hours at 80 km an hour. How far does it get?"),
        question("e", text.upper()),
    ]
    assert asked_whys("near_duplicates", *asked) == [
        None, "repeats question 'a'", None, None, "repeats question 'a'",
    ]  # fmt: skip
    assert asked_whys({"name": "near_duplicates", "any_numbers": True}, *asked)[2] == "repeats question 'a'"


def test_questions_of_evaluation_sets_are_found_inside_longer_ones(tmp_path: Path) -> None:
    evaluated = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."
    file = tmp_path / "eval.jsonl"
    rows = [
        {"id": "gold", "question": evaluated, "answer": "72"},
        {"id": "tiny", "question": "Who wrote Faust, part one?"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [
        question("a", evaluated.lower().replace(",", "")),
        question("b", f"Read this carefully and use tools. {evaluated} How many in total?"),
        question("c", "Natalia bought a boat for 48 dollars in April."),
        question("d", "Please tell me: who wrote Faust, part one?"),
    ]
    found = asked_whys({"name": "contamination", "sets": [str(file)]}, *asked)
    assert [why is not None for why in found] == [True, True, False, True]
    assert "'gold'" in str(found[1])


def test_samples_vote_where_nobody_knows_the_answer() -> None:
    open_question, known = question("open", answer=None), question("known")
    samples = [drawn(open_question, SUM, answer=a, sample=n) for n, a in enumerate(("42", "42.0", "41", "42"))]
    right = drawn(known, SUM)
    chosen = select([open_question, known], [*samples, right], max_references=4, filters=["agreement"])
    by_id = {q.id: q for q in chosen.questions}
    assert by_id["open"].answers == ("42",) and by_id["open"].metadata == {"answer_by_agreement": 0.75}
    assert len(by_id["open"].references) == 3 and chosen.dropped["agreement"] == 1
    fates = {(t.question_id, t.sample): t.metadata for t in chosen.trajectories}
    assert fates["open", 1]["correct"] and fates["open", 2]["why"] == "3 of 4 samples answered otherwise"
    assert by_id["known"].metadata == {"pass_rate": 1.0, "samples": 1}


def test_too_few_or_divided_voters_decide_nothing() -> None:
    open_question = question(answer=None)
    few = [drawn(open_question, answer="42", sample=n) for n in range(2)]
    divided = [drawn(open_question, answer=a, sample=n) for n, a in enumerate(("1", "1", "2", "2"))]
    assert whys("agreement", *few, asked=open_question) == ["2 answers, fewer than 3"] * 2
    assert whys("agreement", *divided, asked=open_question) == ["2 of 4 samples agree"] * 4
    assert whys("agreement", *few) == [None, None], "a ground truth needs no vote"
    assert whys({"name": "agreement", "everywhere": True}, *few) != [None, None]


LANGUAGES = [
    ("First I add the two numbers to find how many apples there are in total.", True),
    ("Zuerst addiere ich die beiden Zahlen, um die Anzahl der Äpfel zu finden.", False),
    ("首先我把两个数字加起来，得到苹果的总数。", False),
    ("First I add the numbers, 然后得到苹果的总数，再检查一遍。", False),
    ("x^2 + \\frac{1}{2} = 12 + 5", True),
    ("12", True),
    ("The angle α is $\\pi/3$, so we multiply by the radius, as Erdős did.", True),
]


@pytest.mark.parametrize(("said", "kept"), LANGUAGES)
def test_other_languages_are_told_and_formulas_are_none(said: str, kept: bool) -> None:
    use = {"name": "language", "of": "trajectory"}
    (why,) = whys(use, drawn(ASKED, final=said))
    assert (why is None) is kept, why


REFUSALS = [
    ("I'm sorry, but I can't help with that.", False),
    ("As an AI language model, I do not have opinions.", False),
    ("I am unable to answer this question.", False),
    ("He can’t help his brother, so he has 42.", True),
    ("I cannot subtract more than there is, so the answer is \\boxed{42}.", True),
    ("We can share 12 apples. \\boxed{42}", True),
]


@pytest.mark.parametrize(("said", "kept"), REFUSALS)
def test_refusals_are_told_from_people_who_cannot(said: str, kept: bool) -> None:
    assert (whys("refusals", drawn(ASKED, final=said))[0] is None) is kept


def test_a_function_of_a_users_own_decides(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def keeps(question, trajectory):\n    return 'too quick' if len(trajectory.turns) < 2 else True\n"
        "def fails(question, trajectory):\n    return 1 / 0\n"
        "def odd(question, trajectory):\n    return 7\n"
    )
    use = {"name": "function", "path": f"{file}:keeps"}
    assert whys(use, drawn(ASKED), drawn(ASKED, SUM)) == ["too quick", None]
    for name, what in (("fails", "ZeroDivisionError"), ("odd", "returned 7"), ("absent", "has no function 'absent'")):
        with pytest.raises(UserError, match=what):
            whys({"name": "function", "path": f"{file}:{name}"}, drawn(ASKED, SUM))


def spec(tmp_path: Path, **fields: Any) -> TeacherSpec:
    file = tmp_path / "q.jsonl"
    if not file.exists():
        file.write_text('{"id": "a", "question": "1+1?", "answer": "2"}\n{"id": "b", "question": "what is it then?"}\n')
    return TeacherSpec.model_validate({"model": {"path": "/m"}, "questions": str(file), **fields})


BAD: list[tuple[Any, str, str]] = [
    (["magic"], "filters.0", "unknown filter 'magic'"),
    ([{"name": "length", "max_turns": 0}], "filters.0.max_turns", "greater than or equal to 1"),
    (["refusals", {"name": "length", "colour": 1}], "filters.1.colour", "unknown field"),
    (["contamination"], "filters.0.sets", "Field required"),
    ([{"name": "language", "languages": ["xx"]}], "filters.0.languages", "unknown language 'xx'"),
    ([{"name": "refusals", "patterns": ["("]}], "filters.0.patterns", "no regular expression"),
    ([{"name": "wrong", "most": 1}], "filters.0.most", "unknown field"),
    ([{"option": 1}], "filters.0.name", "Field required"),
]


@pytest.mark.parametrize(("filters", "field", "what"), BAD)
def test_a_bad_option_is_refused_with_its_field(filters: Any, field: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as refused:
        spec(tmp_path, filters=filters)
    error = spec_error(refused.value)
    assert error.field == field and what in str(error)


def test_options_survive_the_way_through_json(tmp_path: Path) -> None:
    asked = spec(tmp_path, filters=["refusals", {"name": "length", "max_turns": 3}], require_tools=True)
    again = TeacherSpec.model_validate(json.loads(json.dumps(asked.model_dump(mode="json"))))
    assert again == asked and [use.name for use in again.all_filters] == ["without_tools", "refusals", "length"]


def test_questions_without_a_ground_truth_need_voters(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="question 'b' has no answer") as refused:
        verifiable_questions(spec(tmp_path))
    assert refused.value.field == "questions" and "agreement" in str(refused.value.allowed)
    with pytest.raises(UserError, match="2 samples cannot reach the 3 votes") as refused:
        verifiable_questions(spec(tmp_path, filters=["agreement"], samples=2))
    assert refused.value.field == "samples"
    assert len(verifiable_questions(spec(tmp_path, filters=["agreement"], samples=3))) == 2


def test_filters_of_questions_run_before_anything_is_drawn(tmp_path: Path) -> None:
    sets = tmp_path / "eval.jsonl"
    sets.write_text('{"question": "what is it then?"}\n')
    asked = wanted(spec(tmp_path, samples=3, filters=["agreement", {"name": "contamination", "sets": [str(sets)]}]))
    assert [q.id for q in asked.questions] == ["a"] and asked.steps[0].dropped == 1


def test_code_and_patterns_of_ones_own_are_for_operators(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("def keeps(question, trajectory):\n    return True\n")
    for use, field in (
        ({"name": "function", "path": f"{mine}:keeps"}, "filters.0"),
        ({"name": "refusals", "patterns": ["(a+)+"]}, "filters.0.patterns"),
    ):
        asked = TeacherSpec.model_validate({"model": {"path": "file:x/y"}, "questions": "file:a/b", "filters": [use]})
        with acting_for(Principal("key:operator", frozenset({Role.OPERATE}))):
            policy.check(asked)
        with acting_for(Principal("key:alice", frozenset({Role.SUBMIT}))), pytest.raises(UserError) as refused:
            policy.check(asked)
        assert str(refused.value.field).startswith("filters.0"), field


def test_files_that_filters_name_are_held_to_the_rules_of_paths() -> None:
    asked = TeacherSpec.model_validate(
        {
            "model": {"path": "file:x/y"},
            "questions": "file:a/b",
            "filters": [{"name": "contamination", "sets": ["/etc/passwd"]}],
        }
    )
    with acting_for(Principal("key:alice", frozenset({Role.SUBMIT}))), pytest.raises(UserError) as refused:
        policy.check(asked)
    assert refused.value.field == "filters.0.sets.0"


PLAIN = {"function.function", "agreement.judge", "language.languages", "language.of", "refusals.patterns"}


def test_every_text_option_of_a_filter_says_what_it_names_or_is_plain() -> None:
    found = {
        field
        for plugin in FILTERS
        for field in texts(getattr(plugin, "Options", type(parse_uses(["wrong"])[0])), plugin.name)
        if not field.endswith(".name")
    }
    assert found == PLAIN


def test_a_job_refuses_a_function_that_is_not_there_before_it_starts(tmp_path: Path) -> None:
    asked = spec(tmp_path, samples=3, filters=["agreement", {"name": "function", "path": f"{tmp_path}/none.py:keeps"}])
    with pytest.raises(UserError, match="does not exist"):
        TeacherJob().validate(asked)


def test_what_infrastructure_lost_is_no_filters_business() -> None:
    lost = drawn(ASKED, termination=Termination.INFRASTRUCTURE, error="server away", turns=())
    chosen = select([ASKED], [drawn(ASKED, SUM, sample=1), lost], max_references=1, filters=["length"])
    assert (chosen.kept, chosen.lost) == (1, 1) and [t.metadata["fate"] for t in chosen.trajectories] == [
        "kept",
        "lost",
    ]
    assert chosen.questions[0].metadata == {"pass_rate": 1.0, "samples": 1}
