"""Recorded conversations as trajectories: assistant messages with calls, and what tools answered. Nothing is executed
again.

What came back is taken as it was recorded: an observation that begins as an error does has failed. Calls come as OpenAI's
``tool_calls`` (or the older ``function_call``), or in the text as ``<tool_call>``; results as messages of role ``tool``
(or ``function``), or in any message of another side as ``<tool_response>``. The answer is the last box of the final
message, or that message whole; it is held against the row's own answers where it has some.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import ValidationError

from mentor.chat import parse_turn
from mentor.errors import UserError
from mentor.grading import JUDGES, JudgeName
from mentor.rollout.prompts import USER_PROMPT
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Frozen, Observation, Question, Termination, ToolCall, Trajectory, Turn

Message = dict[str, Any]
OPTIONS = ("answer", "judge")
_ERRORS = ("error", "traceback", "exception")
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)


class Reading(Frozen):
    """Options that importers of conversations share. ``answer``: ``boxed``, or ``text``: the final message whole."""

    answer: Literal["boxed", "text"] = "boxed"
    judge: JudgeName = "math"


def reading(options: Mapping[str, str]) -> Reading:
    """The shared options among an importer's.

    Raises:
        UserError: naming the option.
    """
    try:
        return Reading.model_validate({name: options[name] for name in OPTIONS if name in options})
    except ValidationError as error:
        first = error.errors()[0]
        field = f"importer_options.{first['loc'][0]}"
        raise UserError(f"{field}: {first['msg'].removeprefix('Value error, ')}", field=field) from error


def converse(
    name: str,
    messages: Sequence[Message],
    answers: Sequence[str],
    model: str | None,
    source: str,
    tools: Any = None,
    how: Reading | None = None,
) -> tuple[Question, Trajectory]:
    """A conversation as a question and its trace. ``tools``: OpenAI tool objects that it was shown, where known.

    Raises:
        ValueError: it has no user message, does not end by an answer, a result belongs to no call, or no answer is known.
    """
    how = how or Reading()
    first = next((_text(m) for m in messages if m.get("role") == "user"), None)
    if not first:
        raise ValueError("no message of a user")
    asked = _unwrapped(first)
    turns = _turns(messages)
    if not turns or turns[-1].tool_calls:
        raise ValueError("the conversation does not end by an answer")
    final = parse_turn(turns[-1].text)
    answer = final.answer if how.answer == "boxed" else final.content.strip()
    accepted = tuple(answers) or ((answer,) if answer else ())
    if not answer or not accepted:
        raise ValueError(
            "the final message has no boxed answer" if how.answer == "boxed" else "the final message is empty"
        )
    shown = _tools(tools)
    question = Question(
        id=name, question=asked, answers=accepted, data_source=source, func_schemas=shown, env="" if shown else None
    )
    # An answer that is its own ground truth is right by what the row is, not by a judge.
    right = JUDGES.get(how.judge, "judge").grade(answer, accepted).correct if answers else True
    return question, Trajectory(
        question_id=name, question=asked, turns=tuple(turns), termination=Termination.ANSWERED, answer=answer, model=model,
        mode="chat", metadata={CORRECT: right},
    )  # fmt: skip


def _unwrapped(message: str) -> str:
    """The question of a message that wraps it into the paper's prompt, as this project's exports do."""
    before, after = USER_PROMPT.replace("{{}}", "{}").split("{question}")
    inner = message.removeprefix(before).removesuffix(after)
    return inner if len(inner) == len(message) - len(before) - len(after) else message


def _tools(given: Any) -> tuple[dict[str, Any], ...] | None:
    """OpenAI tool objects of a list, or of the JSON that holds one; bare functions get the object around them."""
    if isinstance(given, str) and given.strip():
        try:
            given = json.loads(given)
        except json.JSONDecodeError as error:
            raise ValueError("tools is no JSON") from error
    if not isinstance(given, list | tuple) or not given:
        return None
    objects = [json.loads(tool) if isinstance(tool, str) else tool for tool in given]
    found = [tool if "function" in tool else {"type": "function", "function": tool} for tool in objects]
    if not all(isinstance(tool["function"], dict) and tool["function"].get("name") for tool in found):
        raise ValueError("a tool has no name")
    return tuple(found)


def _turns(messages: Sequence[Message]) -> list[Turn]:
    turns: list[Turn] = []
    for message in messages:
        role = message.get("role")
        if role == "assistant":
            turns.append(_turn(message))
        elif role in ("tool", "function"):
            for content in _results(_text(message)) or [_text(message)]:
                _observe(turns, message, content)
        elif role == "user" and turns:
            for content in _results(_text(message)):
                _observe(turns, message, content)
    missing = sum(len(turn.tool_calls) - len(turn.observations) for turn in turns)
    if missing:
        raise ValueError(f"{missing} calls have no result")
    return [_in_order(turn) for turn in turns]


def _text(message: Message) -> str:
    """A message's text: of parts, those that are text."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict) and "text" in part)
    return "" if content is None else str(content)


def _results(text: str) -> list[str]:
    return [found.strip() for found in _RESPONSE.findall(text)]


def _turn(message: Message) -> Turn:
    text = _text(message)
    parsed = parse_turn(text)
    native = message.get("tool_calls") or ()
    if not native and isinstance(message.get("function_call"), dict):
        native = ({"function": message["function_call"]},)
    listed = tuple(_call(call, n) for n, call in enumerate(native))
    broken = next((call for call in parsed.tool_calls if call.error), None)
    if not listed and broken is not None:
        raise ValueError(f"a call in the text is {broken.error}")
    calls = listed or tuple(call.model_copy(update={"id": f"call_{n}"}) for n, call in enumerate(parsed.tool_calls))
    return Turn(text=text, tool_calls=calls, reasoning=message.get("reasoning_content") or parsed.reasoning)


def _call(call: Any, number: int) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValueError("a call has no function name")
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except json.JSONDecodeError as error:
            raise ValueError(f"the arguments of {function['name']} are not JSON") from error
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of {function['name']} are no object")
    return ToolCall(name=function["name"], arguments=arguments, id=str(call.get("id") or f"call_{number}"))


def _observe(turns: list[Turn], message: Message, content: str) -> None:
    """Add one more result to the last turn: of the call that the message names by its id, or of the next one."""
    turn = turns[-1] if turns else Turn(text="")
    seen = {observation.call_id for observation in turn.observations}
    open_calls = [call for call in turn.tool_calls if call.id not in seen]
    named = message.get("tool_call_id")
    call = next((c for c in open_calls if named in (None, c.id)), None)
    if call is None:
        raise ValueError("a tool's result belongs to no call" if named is None or not open_calls else (
            f"the result of {named!r} belongs to no open call"
        ))  # fmt: skip
    content = _without_call(content, call)
    failed = content.lstrip().lower().startswith(_ERRORS)
    observation = Observation(
        name=call.name, content=content, ok=not failed, call_id=call.id, error_type="tool_error" if failed else None
    )
    turns[-1] = turn.model_copy(update={"observations": (*turn.observations, observation)})


def _without_call(content: str, call: ToolCall) -> str:
    """The published rollout repeats the call on the line before its result."""
    first, newline, rest = content.partition("\n")
    if not newline or not first.lstrip().startswith("{"):
        return content
    try:
        repeated = json.loads(first)
    except json.JSONDecodeError:
        return content
    return rest if isinstance(repeated, dict) and repeated.get("name") == call.name else content


def _in_order(turn: Turn) -> Turn:
    """The turn with its observations in the order of its calls, as everything else reads them."""
    by_call = {observation.call_id: observation for observation in turn.observations}
    return turn.model_copy(update={"observations": tuple(by_call[call.id] for call in turn.tool_calls)})
