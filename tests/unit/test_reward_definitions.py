"""Every preset equals its definition, written here a second time from the paper's words, on trajectories made by hand;
and the properties that every definition has, on trajectories made at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentor.rewards import load_preset, preset_names, score
from mentor.trajectory import CallSignature, Observation, Reference, Termination, ToolCall, Trajectory, Turn

GOLD, WRONG = "5", "6"
TEACHERS = (("add",), ("add", "multiply"), ("multiply", "add", "add"), ())
"""Names of the calls of four teachers."""

# Student calls, made by hand: a name ran, ``!`` failed in the tool, ``?`` names no tool, ``~`` was refused for its arguments.
STUDENTS: tuple[tuple[str, ...], ...] = (
    (), ("add",), ("multiply",), ("add", "add"), ("add", "multiply"), ("multiply", "add"), ("multiply", "add", "add"),
    ("add", "multiply", "subtract"), ("subtract",), ("subtract", "floor"), ("!add",), ("!add", "add"), ("add", "!multiply"),
    ("?plus",), ("?plus", "add"), ("~add",), ("~add", "add"), ("add",) * 7, ("add", "multiply", "!divide", "?solve"),
    ("multiply", "add", "add", "add"), ("!add", "!multiply"),
)  # fmt: skip
ENDS = ((GOLD, "stop"), (WRONG, "stop"), (None, "stop"), (None, "length"))


def made(calls: Sequence[str], answer: str | None, finish: str, text: str = "") -> Trajectory:
    """One call a turn, then the answer."""
    turns = [Turn(text=text, tool_calls=(call,), observations=(seen,)) for call, seen in map(_call, calls)]
    last = Turn(text=text, finish_reason=finish)
    end = Termination.ANSWERED if finish == "stop" else Termination.LENGTH
    return Trajectory(question=text, turns=(*turns, last), answer=answer, termination=end)


def _call(marked: str) -> tuple[ToolCall, Observation]:
    name = marked.lstrip("!?~")
    kind = {"!": "tool_error", "?": "unknown_tool", "~": "invalid_arguments"}.get(marked[0])
    seen = Observation(name=name, content="5", ok=kind is None, executed=marked[0] not in "?~", error_type=kind)
    return ToolCall(name=name, arguments={}), seen


def right(prediction: str | None, golds: Sequence[str]) -> bool:
    return prediction in golds


# --- the definitions. S: names of the student's calls that ran and returned, in order; T: the teacher's.
def f1(s: Sequence[str], t: Sequence[str]) -> float:
    if not set(s) | set(t):
        return 1.0
    hits = len(set(s) & set(t))
    precision, recall = (hits / len(set(side)) if side else 0.0 for side in (s, t))
    return 2 * precision * recall / (precision + recall) if hits else 0.0


def order(s: Sequence[str], t: Sequence[str]) -> float:
    """By brute force: the longest of T's subsequences that is one of S's."""
    if not s and not t:
        return 1.0
    chosen = ([name for n, name in enumerate(t) if bits >> n & 1] for bits in range(2 ** len(t)))
    longest = max(len(names) for names in chosen if _within(names, s))
    return longest / max(len(s), len(t))


def _within(names: Sequence[str], sequence: Sequence[str]) -> bool:
    rest = iter(sequence)
    return all(name in rest for name in names)


Aligned = Callable[[Sequence[str], Sequence[str]], float]
EQUAL: Aligned = lambda s, t: float(set(s) == set(t))  # noqa: E731
ANY: Aligned = lambda s, t: float((len(s) > 0) == (len(t) > 0))  # noqa: E731
FLEXIBLE: Aligned = lambda s, t: (f1(s, t) + order(s, t)) / 2  # noqa: E731
PAPER: dict[str, tuple[Aligned, float, float, float]] = {
    "sparse": (EQUAL, 0.7, 0.0, 0.0),
    "paper_tool_format": (ANY, 0.7, 0.3, 0.0),
    "paper_validation": (EQUAL, 0.7, 0.0, 0.1),
    "paper_f1": (f1, 0.7, 0.3, 0.1),
    "paper_strict": (EQUAL, 0.7, 0.3, 0.1),
    "flexible": (FLEXIBLE, 0.7, 0.3, 0.1),
}


def paper(preset: str, calls: Sequence[str], teacher: Sequence[str], answer: str | None) -> float:
    aligned, w_c, w_a, w_v = PAPER[preset]
    ran = [name for name in calls if name.isalpha()]
    return w_c * (answer == GOLD) + w_a * aligned(ran, teacher) + w_v * (len(ran) == len(calls))


def published(preset: str, calls: Sequence[str], teacher: Sequence[str], answer: str | None, finish: str) -> float:
    if finish != "stop":
        return 0.0
    if answer is None:
        return 0.1
    if preset == "published_sparse":
        return 1.0 if answer == GOLD else 0.1
    ran = [name for name in calls if name.isalpha()]
    matched = (EQUAL if preset == "published_code" else f1)(ran, teacher)
    known = not any(name.startswith("?") for name in calls)
    return 0.7 * (answer == GOLD) + 0.3 * matched * (1.0 if answer == GOLD else 0.2) + 0.1 * known


@pytest.mark.parametrize("teacher", TEACHERS, ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize("preset", sorted(preset_names()))
def test_every_preset_equals_its_definition(preset: str, teacher: tuple[str, ...]) -> None:
    reference = Reference(answer=GOLD, tool_calls=tuple(CallSignature(name=name) for name in teacher))
    spec, seen = load_preset(preset), 0
    for calls in STUDENTS:
        for answer, finish in ENDS:
            got = score(made(calls, answer, finish), [reference], spec, right).total
            if preset in PAPER:
                wanted = paper(preset, calls, teacher, answer)
            else:
                wanted = published(preset, calls, teacher, answer, finish)
            assert got == pytest.approx(wanted), (calls, answer, finish)
            seen += 1
    assert seen >= 60


NAMES = st.lists(st.sampled_from(["add", "multiply", "floor", "!add", "?plus", "~add"]), max_size=6)
REFERENCES = st.lists(st.lists(st.sampled_from(["add", "multiply", "floor"]), max_size=4), min_size=1, max_size=3)
ANSWERS = st.sampled_from([GOLD, WRONG, None])
PRESETS = st.sampled_from(sorted(preset_names()))
ORDERLESS = st.sampled_from(["paper_f1", "paper_strict", "paper_tool_format", "published_code", "sparse"])


def total(
    preset: str, calls: Sequence[str], references: Sequence[Sequence[str]], answer: str | None, text: str = ""
) -> float:
    pool = [Reference(answer=GOLD, tool_calls=tuple(CallSignature(name=n) for n in names)) for names in references]
    return score(made(calls, answer, "stop", text), pool, load_preset(preset), right, answers=[GOLD]).total


@settings(deadline=None)
@given(preset=PRESETS, calls=NAMES, references=REFERENCES, answer=ANSWERS)
def test_a_total_lies_between_nothing_and_the_weights_sum(
    preset: str, calls: list[str], references: list[list[str]], answer: str | None
) -> None:
    weights = load_preset(preset).weights
    assert 0 <= total(preset, calls, references, answer) <= sum(weights.model_dump().values()) + 1e-9


@settings(deadline=None)
@given(preset=PRESETS, calls=NAMES, references=REFERENCES, answer=ANSWERS, data=st.data())
def test_the_order_of_references_is_nothing(
    preset: str, calls: list[str], references: list[list[str]], answer: str | None, data: st.DataObject
) -> None:
    turned = data.draw(st.permutations(references))
    assert total(preset, calls, references, answer) == total(preset, calls, turned, answer)


@settings(deadline=None)
@given(preset=ORDERLESS, calls=NAMES, references=REFERENCES, answer=ANSWERS, data=st.data())
def test_the_order_of_calls_is_nothing_where_a_preset_compares_sets(
    preset: str, calls: list[str], references: list[list[str]], answer: str | None, data: st.DataObject
) -> None:
    turned = data.draw(st.permutations(calls))
    assert total(preset, calls, references, answer) == pytest.approx(total(preset, turned, references, answer))


@settings(deadline=None)
@given(preset=PRESETS, calls=NAMES, references=REFERENCES)
def test_a_right_answer_is_never_worth_less_than_a_wrong_one(
    preset: str, calls: list[str], references: list[list[str]]
) -> None:
    assert total(preset, calls, references, GOLD) > total(preset, calls, references, WRONG)


@settings(deadline=None)
@given(preset=PRESETS, calls=NAMES, references=REFERENCES, answer=ANSWERS, more=st.lists(st.just("add"), max_size=3))
def test_a_further_reference_never_takes_anything_away(
    preset: str, calls: list[str], references: list[list[str]], answer: str | None, more: list[str]
) -> None:
    assert total(preset, calls, [*references, more], answer) >= total(preset, calls, references, answer)


@settings(deadline=None)
@given(
    preset=PRESETS, calls=NAMES, references=REFERENCES, answer=ANSWERS, bad=st.sampled_from(["!add", "?plus", "~add"])
)
def test_a_call_that_did_not_return_never_adds_anything(
    preset: str, calls: list[str], references: list[list[str]], answer: str | None, bad: str
) -> None:
    assert total(preset, [*calls, bad], references, answer) <= total(preset, calls, references, answer)


@settings(deadline=None)
@given(preset=PRESETS, calls=NAMES, references=REFERENCES, answer=ANSWERS, text=st.text())
def test_no_text_earns_anything(
    preset: str, calls: list[str], references: list[list[str]], answer: str | None, text: str
) -> None:
    bait = f'{text}<tool_call>{{"name": "add"}}</tool_call> \\boxed{{{GOLD}}}'
    assert total(preset, calls, references, answer, bait) == total(preset, calls, references, answer)
