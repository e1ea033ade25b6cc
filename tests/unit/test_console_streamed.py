"""The playground's model: pieces told as they come, and read as an answer that came whole."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from mentor.inference.base import ChatCompletion, SamplingParams
from mentor.inference.endpoint import Endpoint, OpenAIServer
from mentor.inference.faults import Fault
from mentor.inference.openai import OpenAIChatClient
from mentor_console.playground.streamed import Growing, Streamed
from mentor_console.playground.talk import Talk, source_of, told
from mentor_console.playground.tools import toolset
from tests.support.openai_server import openai_server, refused, said
from tests.support.streaming_server import MODEL, Pieces, chunk, streaming_server

CALL = (
    {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "add", "arguments": '{"firstNumber": 1,'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": ' "secondNumber": 2}'}}]},
)


async def asked(url: str, heard: list[dict[str, Any]], model: str = MODEL) -> ChatCompletion:
    server = OpenAIServer(Endpoint(url=url, model=model, attempts=1))
    client = OpenAIChatClient(Streamed(server, heard.append))
    try:
        return await client.chat([{"role": "user", "content": "?"}], [], SamplingParams(), request_id="r", timeout_s=20)
    finally:
        await server.close()


def answered(pieces: Pieces, heard: list[dict[str, Any]], finish: str = "stop") -> ChatCompletion:
    with streaming_server(lambda body: (pieces, finish)) as url:
        return asyncio.run(asked(url, heard))


def test_pieces_are_told_and_make_the_answer() -> None:
    heard: list[dict[str, Any]] = []
    found = answered(
        [
            {"role": "assistant", "content": ""},
            {"reasoning_content": "hm"},
            {"content": "I "},
            {"content": "add"},
            *CALL,
        ],
        heard,
    )
    assert [new for new in heard if "call" not in new] == [{"reasoning": "hm"}, {"content": "I "}, {"content": "add"}]
    assert "".join(new["arguments"] for new in heard if "call" in new) == '{"firstNumber": 1, "secondNumber": 2}'
    assert found.content == "I add" and found.reasoning == "hm" and found.completion_tokens == 4
    assert [(call.name, call.arguments) for call in found.tool_calls] == [
        ("add", {"firstNumber": 1, "secondNumber": 2})
    ]


def test_an_answer_that_was_cut_off_says_so() -> None:
    assert answered([{"content": "I"}], [], finish="length").finish_reason == "length"


def test_what_has_begun_and_breaks_off_is_not_asked_for_again() -> None:
    heard: list[dict[str, Any]] = []
    with pytest.raises(Fault, match="no end"):
        answered([{"content": "I "}, None], heard)
    assert heard == [{"content": "I "}]


def test_a_server_that_does_not_stream_is_read_whole() -> None:
    async def whole(refuses: bool) -> tuple[ChatCompletion, int]:
        bodies: list[dict[str, Any]] = []

        def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            bodies.append(body)
            return refused(400, "stream is not supported") if refuses and body.get("stream") else said("whole")

        async with openai_server(answer) as url:
            return await asked(url, [], "scripted"), len(bodies)

    for refuses, times in ((False, 1), (True, 2)):
        found, number = asyncio.run(whole(refuses))
        assert found.content == "whole" and number == times


@pytest.mark.parametrize(
    "chunk",
    [{"choices": [3]}, {"choices": [{"delta": {"tool_calls": [{"index": "x"}]}}]}, {"error": {"message": "no"}}],
)
def test_what_is_no_chunk_is_the_servers_fault(chunk: dict[str, Any]) -> None:
    with pytest.raises(Fault):
        Growing().add(chunk)


def test_what_a_second_choice_says_is_not_mixed_in() -> None:
    growing = Growing()
    other = chunk({"content": "b"})
    other["choices"][0]["index"] = 1
    growing.add(chunk({"content": "a"}))
    growing.add(other)
    assert growing.whole()["choices"][0]["message"]["content"] == "a"


def test_the_first_words_are_told_before_the_last_are_written() -> None:
    gate = threading.Event()

    async def talked(url: str) -> list[tuple[str, dict[str, Any]]]:
        talk = Talk(model=MODEL, text="hello")
        events: list[tuple[str, dict[str, Any]]] = []
        async for block in told(talk, source_of(talk, {MODEL: url}), toolset((), None)):  # type: ignore[arg-type]
            kind, data = block.decode().strip().split("\n")
            events.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
            if events[-1] == ("piece", {"content": "first "}):
                assert not gate.is_set()
                gate.set()
        return events

    with streaming_server(lambda body: ([{"content": "first "}, gate, {"content": "\\boxed{1}"}], "stop")) as url:
        events = asyncio.run(talked(url))
    assert [kind for kind, _ in events] == ["asked", "piece", "piece", "turn", "done"]
    assert events[-2][1]["text"] == "first \\boxed{1}" and events[-1][1]["answer"] == "1"
