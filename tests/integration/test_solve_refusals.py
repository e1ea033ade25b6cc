"""What a model server refuses of one request ends that trajectory; what it refuses of all ends the job before it begins."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mentor.data import write_questions
from mentor.errors import UserError
from mentor.inference import SamplingParams
from mentor.inference.local.server import build
from mentor.inference.local.settings import ModelServerSettings
from mentor.rollout.connect import ModelSource
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.solve import load_questions, solve
from mentor.rollout.spec import SolveSpec
from mentor.rollout.variants import PromptVariant
from mentor.serving.runner import running
from mentor.trajectory import Question, Termination, Trajectory
from tests.support.openai_server import MODEL, Reply, openai_server, refused, said
from tests.support.quiet import Quiet
from tests.support.tokenizers import hiding_tools

STUDENT = Path(__file__).parents[2] / "examples" / "tiny" / "checkpoints" / "student"
LONG = Question(id="long", question="Anna has 23 red eggs. " * 600, answers=("0",), tools=())
SHORT = [
    Question(id=f"q{n}", question=f"Question: What is {n} plus {n}?", answers=(str(2 * n),), tools=()) for n in range(4)
]
VLLM_FULL = (
    "This model's maximum context length is 1024 tokens. However, you requested 8300 tokens "
    "(108 in the messages, 8192 in the completion). Please reduce the length of the messages or completion."
)


async def solved(tmp_path: Path, model: ModelSource, questions: list[Question], **fields: Any) -> list[Trajectory]:
    tmp_path.mkdir(exist_ok=True)
    write_questions(questions, tmp_path / "questions.jsonl")
    spec = SolveSpec(model=model, questions=str(tmp_path / "questions.jsonl"), **fields)
    found = await asyncio.to_thread(solve, spec, load_questions(spec), Quiet(tmp_path / "work"))
    assert found is not None
    return found


@pytest.fixture
async def url() -> AsyncIterator[str]:
    settings = ModelServerSettings(model=STUDENT, served_model_name="student", port=0, access_log=False, seed=0)
    async with running(build(settings)) as server:
        yield server.http_url


@pytest.mark.parametrize("mode", ["chat", "token"])
async def test_a_question_too_long_for_the_context_costs_only_itself(url: str, tmp_path: Path, mode: Any) -> None:
    """The default spec (8,192 tokens) on a server whose context holds 2,048, as every server's does for some spec."""
    model = ModelSource(url=url, name="student", mode=mode, tokenizer=str(STUDENT) if mode == "token" else None)
    found = await solved(tmp_path, model, [*SHORT[:2], LONG, *SHORT[2:]])
    assert [t.question_id for t in found if t.termination is Termination.LENGTH and not t.turns] == ["long"]
    assert all(t.turns and not t.failed for t in found if t.question_id != "long")


async def test_a_question_too_long_for_the_in_process_engine_costs_only_itself(tmp_path: Path) -> None:
    found = await solved(tmp_path, ModelSource(path=str(STUDENT)), [LONG, SHORT[0]])
    assert (found[0].termination, found[0].turns) == (Termination.LENGTH, ())
    assert found[1].turns


def vllm(body: dict[str, Any]) -> Reply:
    """A context of 1,024: refuses what does not fit with it, fills what is left where nothing is asked for."""
    prompt = len(body["messages"][-1]["content"].split())
    asked = body.get("max_tokens", 1024 - prompt)
    if prompt >= 1024 or prompt + asked > 1024:
        return refused(400, VLLM_FULL)
    if "poison" in body["messages"][-1]["content"]:
        return refused(400, "The response was filtered", code="content_filter")
    return said("\\boxed{0}", usage={"prompt_tokens": prompt, "completion_tokens": 4})


@pytest.mark.parametrize("told", [{"max_model_len": 1024}, {}])
async def test_the_servers_context_bounds_requests_whether_or_not_it_is_told(
    tmp_path: Path, told: dict[str, int]
) -> None:
    poison = Question(id="poison", question="poison", answers=("0",), tools=())
    async with openai_server(vllm, **told) as url:
        found = await solved(tmp_path, ModelSource(url=url, name=MODEL), [SHORT[0], LONG, poison])
    assert [t.termination for t in found] == [Termination.ANSWERED, Termination.LENGTH, Termination.REFUSED]
    assert found[0].metadata["correct"] and "filtered" in str(found[2].error)


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        (refused(400, '"auto" tool choice requires --enable-auto-tool-choice'), "auto-tool-choice"),
        (refused(401, "Incorrect API key provided"), "API key"),
        (refused(400, VLLM_FULL), "maximum context length"),
    ],
)
async def test_what_can_never_work_ends_the_job_after_one_request(tmp_path: Path, reply: Reply, names: str) -> None:
    asked: list[dict[str, Any]] = []

    def refuse(body: dict[str, Any]) -> Reply:
        asked.append(body)
        return reply

    async with openai_server(refuse) as url:
        with pytest.raises(UserError, match=names):
            await solved(tmp_path, ModelSource(url=url, name=MODEL), SHORT)
    assert asked and all("What is 1 + 1?" in body["messages"][-1]["content"] for body in asked)


async def test_a_template_that_hides_the_tools_ends_the_job_before_any_request_unless_a_prompt_names_them(
    tmp_path: Path,
) -> None:
    blind = tmp_path / "blind"
    shutil.copytree(STUDENT, blind)
    template = blind / "chat_template.jinja"
    template.write_text(hiding_tools(template.read_text()))
    asked: list[dict[str, Any]] = []

    def record(body: dict[str, Any]) -> Reply:
        asked.append(body)
        return said("\\boxed{0}")

    few: dict[str, Any] = {"sampling": SamplingParams(max_tokens=8), "limits": RolloutLimits(max_turns=1)}
    question = SHORT[0].model_copy(update={"tools": ("add",)})
    async with openai_server(record) as url:
        model = ModelSource(url=url, name=MODEL, tokenizer=str(blind))
        with pytest.raises(UserError, match="template leaves out tools: the model would never see add") as hidden:
            await solved(tmp_path, model, [question], **few)
    assert hidden.value.field == "model" and not asked

    engine = ModelSource(path=str(blind))
    [found] = await solved(tmp_path / "without", engine, SHORT[:1], **few)
    assert found.turns, "without tools there is nothing to hide"
    listed = PromptVariant(system="You may call add(firstNumber, secondNumber).")
    [found] = await solved(tmp_path / "listed", engine, [question], prompts=(listed,), **few)
    assert found.turns and not found.failed


async def test_chat_mode_ends_a_conversation_at_the_budget_by_the_servers_count(tmp_path: Path) -> None:
    """Each turn calls a tool and the server counts 100 tokens more: a budget of 250 ends it in the third."""

    def calls(body: dict[str, Any]) -> Reply:
        turns = sum(m["role"] == "assistant" for m in body["messages"])
        asked.append(body["max_tokens"])
        text = '<tool_call>\n{"name": "add", "arguments": {"firstNumber": 1}}\n</tool_call>'
        return said(text, usage={"prompt_tokens": 50 + 100 * turns, "completion_tokens": 90})

    asked: list[int] = []
    limits = RolloutLimits(max_response_tokens=250, max_turns=9, max_consecutive_invalid=None)
    async with openai_server(calls) as url:
        [found] = await solved(tmp_path, ModelSource(url=url, name=MODEL), SHORT[:1], limits=limits)
    assert (found.termination, len(found.turns)) == (Termination.LENGTH, 3)
    assert asked[1] == 250 and all(a > b for a, b in pairwise(asked[1:]))


async def test_a_server_that_refuses_the_key_in_the_middle_is_an_outage(tmp_path: Path) -> None:
    def revoked(body: dict[str, Any]) -> Reply:
        probing = "What is 1 + 1?" in body["messages"][-1]["content"]
        return said("\\boxed{2}") if probing else refused(401, "key revoked")

    sampling = SamplingParams(max_tokens=16)
    limits = RolloutLimits(turn_timeout_s=0.5)
    async with openai_server(revoked) as url:
        model = ModelSource(url=url, name=MODEL)
        [found] = await solved(
            tmp_path, model, SHORT[:1], sampling=sampling, limits=limits, max_infrastructure_share=1.0
        )
    assert found.failed and "now refuses what it took before" in str(found.error)


@pytest.mark.parametrize("given", [{"enable_thinking": False}, {}])
async def test_switches_of_the_chat_template_reach_a_server_that_renders(given: dict[str, Any], tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def answer(body: dict[str, Any]) -> Reply:
        asked.append(body)
        return said("<answer>0</answer>")

    async with openai_server(answer) as url:
        await solved(tmp_path, ModelSource(url=url, name=MODEL, template_kwargs=given), SHORT[:1])
    assert len(asked) == 2 and all(body.get("chat_template_kwargs", {}) == given for body in asked)
    assert all(("chat_template_kwargs" in body) == bool(given) for body in asked)
