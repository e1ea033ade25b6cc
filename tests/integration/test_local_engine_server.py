"""The local model server over loopback: a real uvicorn, the checked-in student, and OpenAI-style clients."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mentor.errors import NotFoundError, UserError
from mentor.inference.base import SamplingParams
from mentor.inference.local.chat_endpoint import read_message, sendable
from mentor.inference.local.server import build
from mentor.inference.local.settings import ModelServerSettings
from mentor.inference.openai import Endpoint, OpenAIChatClient, OpenAIServer, OpenAITokenClient
from mentor.serving.runner import running
from mentor.tools import MATH_TOOLS

ROOT = Path(__file__).parents[2]
STUDENT = ROOT / "examples" / "tiny" / "checkpoints" / "student"
NAME = "student"
TOOLS = [tool.openai() for tool in MATH_TOOLS]
QUESTION = "Question: Anna has 23 red eggs and 45 blue eggs. How many eggs are there in total?"
PROMPT = QUESTION + "\n\nIf you have got the answer, enclose it within \\boxed{} with latex format."
MESSAGES = [{"role": "user", "content": PROMPT}]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server on a free port."""
    settings = ModelServerSettings(model=STUDENT, served_model_name=NAME, port=0, access_log=False, seed=0)
    async with running(build(settings)) as server:
        yield server.http_url


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield client


async def post(http: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    response = await http.post(path, json={"model": NAME} | body)
    assert response.status_code == 200, response.text
    decoded: dict[str, Any] = response.json()
    return decoded


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_models_health_and_readiness_name_the_served_model(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == [NAME]
    assert (await http.get(f"/v1/models/{NAME}")).json()["max_model_len"] == 2048
    assert (await http.get("/health")).json()["model"] == NAME
    assert (await http.get("/ready")).status_code == 200


async def test_a_chat_answer_that_calls_a_tool_comes_parsed(http: httpx.AsyncClient) -> None:
    replies = [
        await post(http, "/v1/chat/completions", messages=MESSAGES, tools=TOOLS, seed=seed, return_token_ids=True)
        for seed in range(12)
    ]
    calls = [r for r in replies if r["choices"][0]["finish_reason"] == "tool_calls"]
    assert calls, "none of 12 samples called a tool"
    message = calls[0]["choices"][0]["message"]
    assert isinstance(json.loads(message["tool_calls"][0]["function"]["arguments"]), dict)
    assert message["content"] is None
    assert all(len(r["choices"][0]["token_ids"]) == r["usage"]["completion_tokens"] for r in replies)


async def test_chat_prompts_equal_the_template_and_a_tool_result_continues_the_conversation(
    http: httpx.AsyncClient,
) -> None:
    arguments = {"firstNumber": 23, "secondNumber": 45}
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": json.dumps(arguments)}}
    conversation = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "68"},
    ]
    rendered = await post(http, "/tokenize", messages=conversation, tools=TOOLS)
    text = (await post(http, "/detokenize", tokens=rendered["tokens"]))["prompt"]
    assert f'<tool_call>\n{{"name": "add", "arguments": {json.dumps(arguments)}}}\n</tool_call><|im_end|>' in text
    assert text.endswith("<tool_response>\n68\n</tool_response><|im_end|>\n<|im_start|>assistant\n")
    reply = await post(http, "/v1/chat/completions", messages=conversation, tools=TOOLS, return_token_ids=True)
    assert reply["prompt_token_ids"] == rendered["tokens"]


async def test_n_choices_with_a_seed_are_reproducible_and_differ_from_one_another(http: httpx.AsyncClient) -> None:
    ask = {"messages": MESSAGES, "tools": TOOLS, "n": 8, "seed": 3, "return_token_ids": True, "logprobs": True}
    first, second = await post(http, "/v1/chat/completions", **ask), await post(http, "/v1/chat/completions", **ask)
    ids = [choice["token_ids"] for choice in first["choices"]]
    assert ids == [choice["token_ids"] for choice in second["choices"]]
    assert len({tuple(row) for row in ids}) > 1
    for choice in first["choices"]:
        assert len(choice["logprobs"]["content"]) == len(choice["token_ids"])
        assert all(entry["logprob"] <= 0 for entry in choice["logprobs"]["content"])


@pytest.mark.parametrize("tools", [None, TOOLS])
async def test_a_streamed_chat_says_the_same_as_a_whole_one(
    http: httpx.AsyncClient, tools: list[dict[str, Any]] | None
) -> None:
    for seed in range(6):
        ask = {"messages": MESSAGES, "seed": seed, "max_tokens": 60} | ({"tools": tools} if tools else {})
        whole = (await post(http, "/v1/chat/completions", **ask))["choices"][0]
        response = await http.post("/v1/chat/completions", json={"model": NAME, "stream": True} | ask)
        chunks = [event["choices"][0] for event in events(response.text)]
        content = "".join(chunk["delta"].get("content") or "" for chunk in chunks)
        calls = [call["function"] for chunk in chunks for call in chunk["delta"].get("tool_calls", ())]
        expected = [call["function"] for call in whole["message"].get("tool_calls", ())]
        assert calls == expected
        assert content.strip() == (whole["message"]["content"] or "").strip()
        assert chunks[-1]["finish_reason"] == whole["finish_reason"]


async def test_completions_take_text_and_ids_and_return_ids_and_logprobs(http: httpx.AsyncClient) -> None:
    ids = (await post(http, "/tokenize", prompt="The answer is"))["tokens"]
    ask = {"max_tokens": 6, "temperature": 0, "logprobs": 0, "return_token_ids": True}
    from_text = await post(http, "/v1/completions", prompt="The answer is", **ask)
    from_ids = await post(http, "/v1/completions", prompt=ids, **ask)
    both = await post(http, "/v1/completions", prompt=[ids, ids], **ask)
    choice = from_ids["choices"][0]
    assert from_text["choices"][0] == choice
    assert [c["token_ids"] for c in both["choices"]] == [choice["token_ids"]] * 2
    assert len(choice["logprobs"]["token_logprobs"]) == len(choice["token_ids"])
    assert choice["prompt_token_ids"] == ids
    streamed = await http.post("/v1/completions", json={"model": NAME, "prompt": ids, "stream": True} | ask)
    assert "".join(event["choices"][0]["text"] for event in events(streamed.text)) == choice["text"]


async def test_the_token_endpoint_agrees_with_the_projects_token_client(http: httpx.AsyncClient, url: str) -> None:
    prompt = (await post(http, "/tokenize", messages=MESSAGES, tools=TOOLS))["tokens"]
    native = await http.post(
        "/inference/v1/generate", json={"token_ids": prompt, "sampling_params": {"max_tokens": 90, "seed": 5}}
    )
    choice = native.json()["choices"][0]
    server = OpenAIServer(Endpoint(url=url, model=NAME))
    generation = await OpenAITokenClient(server).generate(
        prompt, SamplingParams(max_tokens=90, seed=5), request_id="r", timeout_s=30
    )
    await server.close()
    assert list(generation.token_ids) == choice["token_ids"]
    assert generation.logprobs == pytest.approx([e["logprob"] for e in choice["logprobs"]["content"]], abs=1e-6)


async def test_the_projects_chat_client_reads_calls_and_typed_errors(url: str) -> None:
    server = OpenAIServer(Endpoint(url=url, model=NAME))
    chat = OpenAIChatClient(server)
    params = SamplingParams(max_tokens=90)
    replies = await asyncio.gather(
        *(
            chat.chat(MESSAGES, TOOLS, params.model_copy(update={"seed": n}), request_id=str(n), timeout_s=30)
            for n in range(12)
        )
    )
    assert any(reply.tool_calls and reply.tool_calls[0].error is None for reply in replies)
    with pytest.raises(UserError) as caught:
        await chat.chat(MESSAGES, TOOLS, SamplingParams(max_tokens=99999), request_id="r", timeout_s=30)
    assert "max_tokens" in str(caught.value)
    await server.close()
    unknown = OpenAIServer(Endpoint(url=url, model="nope"))
    with pytest.raises(NotFoundError):
        await OpenAIChatClient(unknown).chat(MESSAGES, [], params, request_id="r", timeout_s=30)
    await unknown.close()


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("/v1/chat/completions", {"messages": []}, 400, "messages"),
    ("/v1/chat/completions", {}, 400, "messages"),
    ("/v1/chat/completions", {"messages": [{"role": "cat", "content": "x"}]}, 400, "messages.0.role"),
    ("/v1/chat/completions", {"messages": [{"role": "user"}]}, 400, "messages.0.content"),
    ("/v1/chat/completions", {"messages": MESSAGES, "tools": [{"type": "function"}]}, 400, "tools.0"),
    ("/v1/chat/completions", {"messages": MESSAGES, "tool_choice": "required"}, 400, "tool_choice"),
    ("/v1/chat/completions", {"messages": MESSAGES, "temperature": -1}, 400, "temperature"),
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 5000}, 400, "max_tokens"),
    ("/v1/chat/completions", {"messages": MESSAGES, "n": 0}, 400, "n"),
    ("/v1/chat/completions", {"messages": MESSAGES, "n": 2, "stream": True}, 400, "n"),
    ("/v1/chat/completions", {"messages": MESSAGES, "model": "nope"}, 404, "model"),
    (
        "/v1/chat/completions",
        {"messages": MESSAGES, "response_format": {"type": "json_object"}},
        400,
        "response_format",
    ),
    ("/v1/completions", {"prompt": []}, 400, "prompt"),
    ("/v1/completions", {"prompt": ""}, 400, "prompt"),
    ("/v1/completions", {"prompt": [5] * 3000}, 400, "prompt"),
    ("/v1/completions", {"prompt": [10**6]}, 400, "prompt"),
    ("/v1/completions", {"prompt": [-5]}, 400, "prompt"),
    ("/v1/completions", {"prompt": [5], "guided_choice": ["a"]}, 400, "guided_choice"),
    ("/v1/completions", {"prompt": [5], "top_p": 0}, 400, "top_p"),
    ("/v1/completions", {"prompt": [5], "logprobs": 3}, 400, "logprobs"),
    ("/inference/v1/generate", {"token_ids": []}, 400, "token_ids"),
    ("/inference/v1/generate", {"token_ids": [5], "sampling_params": {"max_tokens": 0}}, 400, "sampling_params"),
    ("/tokenize", {}, 400, "prompt"),
    ("/detokenize", {"tokens": [10**6]}, 400, "tokens"),
]


async def test_bad_requests_are_refused_in_openais_shape_naming_the_field(http: httpx.AsyncClient) -> None:
    for path, body, status, field in REFUSED:
        response = await http.post(path, json={"model": NAME} | body)
        error = response.json()["error"]
        assert response.status_code == status, (path, body, response.text)
        assert set(error) == {"message", "type", "param", "code"}
        assert error["param"].startswith(field), (path, body, error)
    malformed = await http.post("/v1/completions", content=b"{not json", headers={"content-type": "application/json"})
    assert malformed.status_code == 400
    assert malformed.json()["error"]["message"] == "the request body is not JSON"


async def test_a_caller_that_hangs_up_frees_its_row() -> None:
    settings = ModelServerSettings(model=STUDENT, served_model_name=NAME, port=0, access_log=False, max_batch=1)
    async with running(build(settings)) as server, httpx.AsyncClient(base_url=server.http_url, timeout=60) as http:
        # Greedy text after an unusual prompt runs on to the end of the context.
        endless = {"model": NAME, "prompt": [7, 8, 9], "max_tokens": 2000, "n": 4, "seed": 1, "temperature": 3.0}
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/v1/completions", json=endless, timeout=0.3)
        answered = await http.post("/v1/completions", json={"model": NAME, "prompt": [5], "max_tokens": 1})
        assert answered.status_code == 200
        for _ in range(100):
            text = (await http.get("/metrics")).text
            if "mentor_model_sequences_running 0.0" in text and "mentor_model_sequences_waiting 0.0" in text:
                return
            await asyncio.sleep(0.02)
        pytest.fail("rows of a caller that is gone are still there")


async def test_a_full_queue_answers_429_with_retry_after() -> None:
    settings = ModelServerSettings(
        model=STUDENT, served_model_name=NAME, port=0, access_log=False, max_batch=1, max_queue=1
    )
    async with running(build(settings)) as server, httpx.AsyncClient(base_url=server.http_url, timeout=60) as http:
        body = {"model": NAME, "prompt": [7, 8], "max_tokens": 50, "n": 8}
        response = await http.post("/v1/completions", json=body)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["type"] == "rate_limit_error"


async def test_metrics_count_what_was_generated(http: httpx.AsyncClient) -> None:
    reply = await post(http, "/v1/completions", prompt=[5, 6, 7], max_tokens=9)
    text = (await http.get("/metrics")).text
    assert "mentor_model_sequences_total 1.0" in text
    assert "mentor_model_prompt_tokens_total 3.0" in text
    assert f"mentor_model_generated_tokens_total {float(reply['usage']['completion_tokens'])}" in text


def test_a_malformed_call_leaves_the_whole_text_as_content() -> None:
    text = '<tool_call>\n{"name": "add", "arguments": \n</tool_call>'
    assert read_message(text, "stop", True) == ({"role": "assistant", "content": text}, "stop")


def test_a_cut_off_call_is_not_reported_as_a_call() -> None:
    text = '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'
    message, finish = read_message(text, "length", True)
    assert "tool_calls" not in message
    assert (message["content"], finish) == (text, "length")


def test_streamed_text_holds_back_what_may_become_a_call() -> None:
    assert sendable("I add <tool") == "I add "
    assert sendable("I add <tool_call>\n{") == "I add "
    assert sendable("1 < 2") == "1 < 2"


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--model", "/nonexistent"], "holds no model"),
        (["--model", str(STUDENT), "--max-batch", "0"], "max_batch"),
        ([], "model"),
    ],
)
def test_the_command_refuses_bad_settings_with_one_line(flags: list[str], word: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mentor.inference.local", *flags], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2
    assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
