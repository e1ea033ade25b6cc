"""Rendering and parsing: incremental equals whole, calls are parsed or say why not, answers are found."""

from __future__ import annotations

import json

import pytest

from mentor.chat import extract_boxed, load_format, parse_tool_calls, parse_turn, split_reasoning
from mentor.errors import UserError
from mentor.tools import MATH_TOOLS
from mentor.trajectory import Observation
from tests.support.tokenizers import tokenizer

TOOLS = [spec.openai() for spec in MATH_TOOLS]


def call(name: str, **arguments: object) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


THINKS = "<think>\nFirst I add.\n</think>\n\n"


@pytest.mark.parametrize(("family", "think"), [("qwen2.5", ""), ("qwen3", ""), ("qwen3", THINKS)])
def test_appended_turns_equal_the_template_render_of_the_whole_conversation(family: str, think: str) -> None:
    chat = load_format(tokenizer(family))
    messages: list[dict[str, object]] = [{"role": "user", "content": "What is 12 + 7, times 3?"}]
    ids = chat.render_prompt(messages, TOOLS)
    for text, seen in ((call("add", firstNumber=12, secondNumber=7), "19"), (call("sqrt", number=4), "2.0")):
        parsed = chat.parse(turn := chat.encode(think + text + chat.end_of_turn))
        ids += turn + chat.render_observations(parsed.tool_calls, [Observation(name="x", content=seen)])
        functions = [{"function": {"name": c.name, "arguments": c.arguments}} for c in parsed.tool_calls]
        message = {"role": "assistant", "content": "", "tool_calls": functions, "reasoning_content": parsed.reasoning}
        messages += [message, {"role": "tool", "content": seen}]
    assert chat.encode(chat.render_text(messages, TOOLS)) == ids


def test_a_family_whose_whole_render_differs_is_refused() -> None:
    broken = type(tokenizer()).from_pretrained(tokenizer().name_or_path)
    broken.chat_template = "{% if messages | length > 2 %}(continued){% endif %}" + tokenizer().chat_template
    with pytest.raises(UserError, match="template"):
        load_format(broken)


def test_a_tokenizer_without_a_template_and_an_unknown_format_are_refused() -> None:
    bare = type(tokenizer()).from_pretrained(tokenizer().name_or_path)
    bare.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        load_format(bare)
    with pytest.raises(UserError, match="hermes"):
        load_format(tokenizer(), "llama")


def test_tools_that_a_template_hides_are_refused_unless_the_prompt_names_them() -> None:
    chat = load_format(tokenizer("blind"))
    assert not chat.shows_tools
    assert load_format(tokenizer()).shows_tools and load_format(tokenizer("qwen3")).shows_tools
    asked = {"role": "user", "content": "Call the tools, add or subtract, on 1 and 2."}
    with pytest.raises(UserError, match="leaves out tools: the model would never see add, subtract") as refused:
        chat.render_prompt([asked], TOOLS)
    assert refused.value.field == "model"
    assert chat.render_prompt([asked], [])
    assert chat.render_prompt([asked], TOOLS[:2]), "the question names them all"
    assert chat.render_prompt([{"role": "system", "content": "You have add(firstNumber, secondNumber)."}, asked], TOOLS)
    with pytest.raises(UserError):
        chat.render_prompt([{"role": "system", "content": "You have no addenda."}, asked], TOOLS)


def test_several_observations_stand_in_the_order_of_their_calls() -> None:
    chat = load_format(tokenizer())
    _, calls = parse_tool_calls(call("add", a=1) + "\n" + call("sqrt", number=4))
    text = chat.observation_text(
        calls, [Observation(name="add", content="first"), Observation(name="sqrt", content="2")]
    )
    assert text.index("first") < text.index("\n2\n")
    assert text.endswith("<|im_start|>assistant\n")


def test_the_published_layout_repeats_the_call_and_forces_the_think_tag() -> None:
    chat = load_format(tokenizer(), "published")
    raw = '{"name": "add", "arguments": {"firstNumber": 1, "secondNumber": 2}}'
    _, calls = parse_tool_calls(f"<tool_call>\n{raw}\n</tool_call>")
    assert chat.observation_text(calls, [Observation(name="add", content="3")]) == (
        f"\n<|im_start|>user\n<tool_response>{raw}\n3\n</tool_response>\n<|im_end|>\n<|im_start|>assistant\n<think>"
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"name": "add", "arguments": ', "not JSON"),
        ("[1, 2]", "expected an object"),
        ('{"arguments": {}}', "name must be"),
        ('{"name": "", "arguments": {}}', "name must be"),
        ('{"name": "add", "arguments": [1]}', "arguments must be an object"),
        ('{"name": "add", "arguments": "{oops"}', "not JSON"),
        ("[" * 100_000, "not JSON|nested too deeply"),
    ],
)
def test_a_malformed_call_is_kept_and_says_why(body: str, reason: str) -> None:
    _, [parsed] = parse_tool_calls(f"<tool_call>\n{body}\n</tool_call>")
    assert parsed.error is not None and parsed.error.startswith("malformed_call")
    assert any(part in parsed.error for part in reason.split("|"))


def test_an_unclosed_call_is_malformed_and_the_next_one_is_read() -> None:
    _, calls = parse_tool_calls('<tool_call>\n{"name": "a"}\n' + call("sqrt", number=4))
    assert [c.error is None for c in calls] == [False, True]
    assert calls[1].arguments == {"number": 4}


def test_arguments_given_as_a_json_string_are_read() -> None:
    _, [parsed] = parse_tool_calls('<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}</tool_call>')
    assert (parsed.error, parsed.arguments) == (None, {"a": 1})


@pytest.mark.parametrize(
    ("text", "reasoning", "rest"),
    [
        ("<think>a</think>b", "a", "b"),
        ("a\n</think>\n\nb", "a", "b"),
        ("<think>never closed", "never closed", ""),
        ("no thoughts", None, "no thoughts"),
    ],
)
def test_reasoning_is_split_off(text: str, reasoning: str | None, rest: str) -> None:
    assert split_reasoning(text) == (reasoning, rest)


def test_an_answer_or_a_call_inside_reasoning_does_not_count() -> None:
    turn = parse_turn("<think>maybe \\boxed{1} or " + call("add", a=1) + "</think>It is \\boxed{2}")
    assert (turn.answer, turn.tool_calls) == ("2", ())


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{5}", "5"),
        ("\\boxed{\\frac{1}{\\sqrt{2}}} so", "\\frac{1}{\\sqrt{2}}"),
        ("\\boxed{1} then \\boxed{2}", "2"),
        ("\\boxed{1} then \\boxed{2", "1"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\fbox{7}", "7"),
        ("\\boxed 8.", "8"),
        ("\\boxed{}", ""),
        ("no box", None),
        ("\\boxed", None),
    ],
)
def test_the_last_complete_box_is_the_answer(text: str, answer: str | None) -> None:
    assert extract_boxed(text) == answer
