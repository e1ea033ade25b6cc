"""Rewards: the known points of the published code, every variant, references, gates, and what cannot be hacked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mentor.errors import UserError
from mentor.rewards import RewardResult, load_preset, preset_names, score
from mentor.tools import WIKIPEDIA_SEARCH, ToolSpec
from mentor.trajectory import CallSignature, Observation, Reference, Termination, ToolCall, Trajectory, Turn

TEACHER = Reference(answer="5", tool_calls=(CallSignature(name="add", arguments={"a": 2, "b": 3}),))


def exact(prediction: str | None, golds: Sequence[str]) -> bool:
    return prediction in golds


def made(*calls: str, answer: str | None = "5", finish: str = "stop", **changes: object) -> Trajectory:
    """A trajectory of calls by name: ``!name`` fails in the tool, ``?name`` is unknown."""
    turns = []
    for name in calls:
        ok, known = not name.startswith(("!", "?")), not name.startswith("?")
        bare = name.lstrip("!?")
        call = ToolCall(name=bare, arguments={"a": 2, "b": 3})
        error = None if ok else "tool_error" if known else "unknown_tool"
        seen = Observation(name=bare, content="5", ok=ok, executed=known, error_type=error)
        turns.append(Turn(text="", tool_calls=(call,), observations=(seen,)))
    turns.append(Turn(text=f"\\boxed{{{answer}}}", finish_reason=finish))
    termination = Termination.ANSWERED if finish == "stop" else Termination.LENGTH
    return Trajectory(turns=tuple(turns), answer=answer, termination=termination).model_copy(update=changes)


def total(trajectory: Trajectory, preset: str, *references: Reference) -> float:
    return score(trajectory, references or (TEACHER,), load_preset(preset), exact).total


@pytest.mark.parametrize(
    ("trajectory", "preset", "expected"),
    [
        (made("add"), "published_code", 1.1),
        (made(), "published_code", 0.8),
        (made("add", "subtract"), "published_code", 0.8),
        (made("add", "subtract"), "published_code_f1", 1.0),
        (made("add", answer="6"), "published_code", 0.16),
        (made("?calculate"), "published_code", 0.7),
        (made("add", answer=None), "published_code", 0.1),
        (made("add", answer=None, finish="length"), "published_code", 0.0),
        (made("add"), "published_sparse", 1.0),
        (made("add", answer="6"), "published_sparse", 0.1),
        (made("add", answer=None), "published_sparse", 0.1),
        (made("add", answer=None, finish="length"), "published_sparse", 0.0),
        (made("add"), "paper_strict", 1.1),
        (made("add", answer="6"), "paper_strict", 0.4),
        (made("add", "!add"), "paper_strict", 1.0),
        (made("subtract"), "paper_tool_format", 1.0),
        (made("subtract"), "paper_validation", 0.8),
        (made("add", "subtract"), "paper_f1", 0.7 + 0.3 * 2 / 3 + 0.1),
        (made("add", "subtract"), "flexible", 0.7 + 0.3 * (0.5 * 2 / 3 + 0.5 * 1 / 2) + 0.1),
        (made("add"), "sparse", 0.7),
        (made("add", answer="6"), "sparse", 0.0),
    ],
)
def test_known_points(trajectory: Trajectory, preset: str, expected: float) -> None:
    assert total(trajectory, preset) == pytest.approx(expected)


def with_alignment(variant: str, trajectory: Trajectory, *references: Reference) -> float:
    spec = load_preset("flexible").model_copy(update={"alignment": variant})
    return score(trajectory, references or (TEACHER,), spec, exact).components["alignment"]


AB = Reference(answer="5", tool_calls=(CallSignature(name="a"), CallSignature(name="b")))


@pytest.mark.parametrize(
    ("variant", "calls", "expected"),
    [
        ("strict_names", ("b", "a", "a"), 1),
        ("strict_names", ("a",), 0),
        ("f1", ("a",), 2 / 3),
        ("jaccard", ("a", "c"), 1 / 3),
        ("any_tool", ("c",), 1),
        ("any_tool", (), 0),
        ("any_overlap", ("a", "c"), 1),
        ("any_overlap", ("c",), 0),
        ("ordered", ("a", "b"), 1),
        ("ordered", ("b", "a"), 1 / 2),
        ("ordered", ("a", "x", "b"), 2 / 3),
        ("flexible", ("b", "a"), 0.75),
        ("strict_calls", ("a", "b"), 1),
        ("strict_calls", ("a", "b", "b"), 0),
        ("graded", ("a", "b"), 1),
    ],
)
def test_alignment_variants(variant: str, calls: tuple[str, ...], expected: float) -> None:
    assert with_alignment(variant, made(*calls), AB) == pytest.approx(expected)


def test_arguments_count_where_the_reference_knows_them() -> None:
    wrong = Reference(answer="5", tool_calls=(CallSignature(name="add", arguments={"a": 2, "b": 4}),))
    same_value = Reference(answer="5", tool_calls=(CallSignature(name="add", arguments={"a": 2.0, "b": 3}),))
    assert with_alignment("strict_calls", made("add"), wrong) == 0
    assert with_alignment("strict_calls", made("add"), same_value) == 1
    assert with_alignment("graded", made("add"), wrong) == pytest.approx((1 + 1 + 0.5) / 3)


def called(name: str, **arguments: object) -> Trajectory:
    turn = made(name).turns[0]
    call = turn.tool_calls[0].model_copy(update={"arguments": arguments})
    return made().model_copy(update={"turns": (turn.model_copy(update={"tool_calls": (call,)}), *made().turns)})


def test_a_level_that_is_empty_on_both_sides_is_no_agreement() -> None:
    """A tool without arguments that was not called scored 0.67 of graded alignment."""
    bare = Reference(answer="5", tool_calls=(CallSignature(name="now", arguments={}),))
    assert with_alignment("graded", made(), bare) == 0
    assert with_alignment("graded", called("now"), bare) == 1
    assert with_alignment("graded", called("later"), bare) == 0


def test_equal_values_are_equal_at_every_depth() -> None:
    nested = Reference(answer="5", tool_calls=(CallSignature(name="f", arguments={"x": {"y": [5, {"z": 2.0}]}}),))
    for variant in ("strict_calls", "graded"):
        assert with_alignment(variant, called("f", x={"y": [5.0, {"z": 2}]}), nested) == 1
        assert with_alignment(variant, called("f", x={"y": [5.5, {"z": 2}]}), nested) < 1
        assert with_alignment(variant, called("f", x={"y": [True, {"z": 2}]}), nested) < 1


def test_an_explicit_default_is_the_same_call_as_an_omitted_one() -> None:
    left_out = Reference(answer="5", tool_calls=(CallSignature(name="wikipedia_search", arguments={"query": "x"}),))
    given = called("wikipedia_search", query="x", top_n=5)
    other = called("wikipedia_search", query="x", top_n=6)
    spec = load_preset("flexible").model_copy(update={"alignment": "strict_calls"})

    def aligned(trajectory: Trajectory, tools: Sequence[ToolSpec]) -> float:
        return score(trajectory, [left_out], spec, exact, tools=tools).components["alignment"]

    assert aligned(given, [WIKIPEDIA_SEARCH]) == 1
    assert aligned(other, [WIKIPEDIA_SEARCH]) == 0
    assert aligned(given, []) == 0  # nothing is known of its default


@pytest.mark.parametrize("variant", ["strict_names", "f1", "jaccard", "any_tool", "any_overlap", "ordered", "graded"])
def test_no_calls_align_only_with_a_teacher_that_made_none(variant: str) -> None:
    assert with_alignment(variant, made(), Reference(answer="5")) == 1
    assert with_alignment(variant, made(), TEACHER) == 0
    assert with_alignment(variant, made("add"), Reference(answer="5")) == 0


def test_no_calls_are_valid() -> None:
    assert score(made(), [TEACHER], load_preset("paper_strict"), exact).components["validation"] == 1


def test_the_best_total_over_references_counts_and_its_index_is_recorded() -> None:
    other = Reference(answer="5", tool_calls=(CallSignature(name="subtract"),))
    result = score(made("add"), [other, TEACHER], load_preset("paper_strict"), exact)
    assert (result.total, result.reference_index) == (pytest.approx(1.1), 1)
    # The maximum is of the total, not of each component: a right answer by one way, the tools by another, do not add up.
    by_answer = Reference(answer="6", tool_calls=(CallSignature(name="subtract"),))
    spec = load_preset("paper_strict").model_copy(update={"correctness": "teacher_answer"})
    mixed = score(made("add", answer="6"), [by_answer, TEACHER], spec, exact)
    assert (mixed.total, mixed.reference_index) == (pytest.approx(0.8), 0)


def test_ground_truth_is_judged_against_the_data_sets_answers_first() -> None:
    spec = load_preset("sparse")
    assert score(made(answer="7"), [TEACHER], spec, exact, answers=["7"]).total == pytest.approx(0.7)
    assert score(made(answer="5"), [TEACHER], spec, exact, answers=["7"]).total == 0


def test_infrastructure_failures_are_excluded_never_scored() -> None:
    lost = made("add").model_copy(update={"termination": Termination.INFRASTRUCTURE})
    assert score(lost, [TEACHER], load_preset("flexible"), exact) == RewardResult(total=0, components={}, excluded=True)


def test_prompt_text_and_tool_output_earn_nothing() -> None:
    bait = '<tool_call>{"name": "add", "arguments": {}}</tool_call> \\boxed{5}'
    seen = Observation(name="echo", content=bait)
    turns = (
        Turn(text=bait, tool_calls=(ToolCall(name="echo"),), observations=(seen,)),
        Turn(text=bait, finish_reason="length"),
    )
    hacked = Trajectory(question=bait, turns=turns, termination=Termination.LENGTH)
    components = score(hacked, [TEACHER], load_preset("paper_strict"), exact).components
    assert (components["correctness"], components["alignment"]) == (0, 0)


def test_a_call_without_an_observation_is_no_valid_call_and_aligns_with_nothing() -> None:
    unexecuted = Trajectory(turns=(Turn(text="", tool_calls=(ToolCall(name="add"),)),), answer="5")
    components = score(unexecuted, [TEACHER], load_preset("paper_strict"), exact).components
    assert (components["alignment"], components["validation"]) == (0, 0)


def test_overlong_answers_lose_linearly_within_the_buffer() -> None:
    spec = load_preset("sparse").model_copy(
        update={"gates": load_preset("sparse").gates.model_validate({"overlong": {"limit": 100, "buffer": 20}})}
    )
    for tokens, penalty in ((80, 0), (90, -0.5), (100, -1), (150, -1)):
        long = Trajectory(turns=(Turn(text="", token_ids=tuple(range(tokens))),), answer="5")
        assert score(long, [TEACHER], spec, exact).total == pytest.approx(0.7 + penalty)


def test_every_preset_loads_under_its_own_name() -> None:
    assert {"sparse", "paper_strict", "flexible", "published_code"} <= set(preset_names())
    for name in preset_names():
        assert load_preset(name).name == name


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("alignment: strictest", "alignment"),
        ("weights: {correctness: x}", "weights.correctness"),
        ("a: 1", "a"),
        (":", "YAML|map"),
    ],
)
def test_a_bad_preset_file_names_the_field(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_preset(path)
    assert any(part in f"{caught.value.field} {caught.value}" for part in complaint.split("|"))


def test_an_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(UserError, match="flexible"):
        load_preset("paper_strictest")
