"""A question may bring the conversation so far: it is shown as it is, and never read from users' files."""

from __future__ import annotations

import json
from pathlib import Path

from mentor.data import read_questions
from mentor.rollout.prompts import opening_messages, user_messages, with_parsed_arguments
from mentor.trajectory import Question

CALL = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def test_a_question_without_messages_opens_as_ever() -> None:
    assert opening_messages(Question(id="q", question="1 + 1?"), "be brief") == user_messages("1 + 1?", "be brief")


def test_messages_are_shown_as_they_are() -> None:
    said = ({"role": "system", "content": "s"}, {"role": "user", "content": "u"})
    assert opening_messages(Question(id="q", question="u", messages=said), "be brief") == list(said)


def test_templates_get_arguments_as_objects_because_they_write_json_themselves() -> None:
    message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    (parsed,) = with_parsed_arguments([message])
    assert parsed["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert message["tool_calls"] == [CALL]


def test_a_users_column_of_messages_holds_answers_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text(
        json.dumps({"question": "q", "answers": ["2"], "messages": [{"role": "assistant", "content": "2"}]})
    )
    (question,) = read_questions(file)
    assert question.messages is None and "messages" in question.metadata
