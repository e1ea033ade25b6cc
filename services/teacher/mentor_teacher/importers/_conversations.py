"""Recorded conversations as trajectories: assistant messages with calls, and what tools answered. Nothing is executed again.

What came back is taken as it was recorded: an observation that begins as an error does has failed.
The answer is the last box of the final message; it is held against the row's own answers where it has some.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mentor.chat import parse_turn
from mentor.grading import make_judge
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Observation, Question, Termination, ToolCall, Trajectory, Turn

Message = dict[str, Any]
_ERRORS = ("error", "traceback", "exception")


def converse(
    name: str, messages: Sequence[Message], answers: Sequence[str], model: str | None, source: str, tools: Any = None
) -> tuple[Question, Trajectory]:
    """A conversation as a question and its trace. ``tools``: OpenAI tool objects that it was shown, where known.

    Raises:
        ValueError: it has no user message, does not end by an answer, a result belongs to no call, or no answer is known.
    """
    asked = next((str(m["content"]) for m in messages if m.get("role") == "user"), None)
    if asked is None:
        raise ValueError("no message of a user")
    turns = _turns(messages)
    if not turns or turns[-1].tool_calls:
        raise ValueError("the conversation does not end by an answer")
    answer = parse_turn(turns[-1].text).answer
    accepted = tuple(answers) or ((answer,) if answer else ())
    if answer is None or not accepted:
        raise ValueError("the final message has no boxed answer")
    question = Question(
        id=name, question=asked, answers=accepted, data_source=source,
        func_schemas=tuple(tools) if isinstance(tools, list | tuple) and tools else None,
        env="" if isinstance(tools, list | tuple) and tools else None,
    )  # fmt: skip
    right = make_judge("math")(answer, accepted)
    return question, Trajectory(
        question_id=name, question=asked, turns=tuple(turns), termination=Termination.ANSWERED, answer=answer, model=model,
        mode="chat", metadata={CORRECT: right},
    )  # fmt: skip


def _turns(messages: Sequence[Message]) -> list[Turn]:
    turns: list[Turn] = []
    for message in messages:
        role = message.get("role")
        if role == "assistant":
            turns.append(_turn(message))
        elif role == "tool":
            if not turns or len(turns[-1].observations) >= len(turns[-1].tool_calls):
                raise ValueError("a tool's result belongs to no call")
            turns[-1] = _observed(turns[-1], message)
    missing = sum(len(turn.tool_calls) - len(turn.observations) for turn in turns)
    if missing:
        raise ValueError(f"{missing} calls have no result")
    return turns


def _turn(message: Message) -> Turn:
    text = str(message.get("content") or "")
    parsed = parse_turn(text)
    listed = tuple(_call(call, n) for n, call in enumerate(message.get("tool_calls") or ()))
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


def _observed(turn: Turn, message: Message) -> Turn:
    """The turn with one more result: of the call that the message names by its id, or of the next one."""
    call = turn.tool_calls[len(turn.observations)]
    named = message.get("tool_call_id")
    if named is not None and named != call.id:
        raise ValueError(f"the result of {named!r} comes in place of that of {call.id!r}")
    content = str(message.get("content") or "")
    failed = content.lstrip().lower().startswith(_ERRORS)
    seen = Observation(
        name=call.name, content=content, ok=not failed, call_id=call.id, error_type="tool_error" if failed else None
    )
    return turn.model_copy(update={"observations": (*turn.observations, seen)})
