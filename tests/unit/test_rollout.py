"""The agent loop's own logic: masks, limits, terminations, retries, and that nobody waits for anybody."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mentor.chat import load_format
from mentor.errors import InfrastructureError, UserError
from mentor.inference import ChatCompletion, SamplingParams
from mentor.rollout import ChatPolicy, RolloutLimits, Schedule, Task, TokenPolicy, rollout, run_many
from mentor.rollout.probe import probe
from mentor.rollout.variants import PromptVariant
from mentor.trajectory import Observation, Question, Termination, ToolCall, Trajectory
from tests.support.scripted import ScriptedClient, ScriptedTools, adds, hang, outage, scripted_policy
from tests.support.tokenizers import tokenizer

QUESTION = Question(id="q", question="What is 2 + 3?")
SAMPLING = SamplingParams(max_tokens=200, seed=1)
LIMITS = RolloutLimits(max_response_tokens=2000)
ADD = '<tool_call>\n{"name": "add", "arguments": {"firstNumber": 2, "secondNumber": 3}}\n</tool_call>'
UNKNOWN = '<tool_call>\n{"name": "calculate", "arguments": {}}\n</tool_call>'
BROKEN = '<tool_call>\n{"name": "add", "arguments": \n</tool_call>'
ANSWER = "The answer is \\boxed{5}."


async def test_a_call_an_observation_and_an_answer() -> None:
    trajectory = await rollout(QUESTION, scripted_policy(ADD, ANSWER), ScriptedTools(adds), LIMITS, SAMPLING)
    assert (trajectory.termination, trajectory.answer) == (Termination.ANSWERED, "5")
    assert [o.content for o in trajectory.observations] == ["5"]
    assert [c.name for c in trajectory.executed_calls] == ["add"]


@pytest.mark.parametrize(
    ("system", "prompts", "messages"),
    [
        ("Call add.", (), None),
        ("Call add.", (PromptVariant(template="Say: {question}"),), None),
        (None, (PromptVariant(system="Call add."),), None),
        (None, (), ({"role": "system", "content": "Call add."}, {"role": "user", "content": "What is 2 + 3?"})),
        (None, (), None),
    ],
)
async def test_the_probe_asks_under_the_system_prompt_that_names_the_tools_where_the_template_hides_them(
    system: str | None, prompts: tuple[PromptVariant, ...], messages: tuple[dict[str, Any], ...] | None
) -> None:
    chat = load_format(tokenizer("blind"))
    client = ScriptedClient([ANSWER], chat)
    asked = probe(
        TokenPolicy(client, chat, system=system), ScriptedTools(adds), SAMPLING, 1.0,
        QUESTION.model_copy(update={"messages": messages}), prompts,
    )  # fmt: skip
    if system or prompts or messages:
        await asked
        assert "Call add." in chat.tokenizer.decode(client.prompts[0])
    else:
        with pytest.raises(UserError, match="would never see add"):
            await asked
        assert not client.prompts


async def test_the_mask_is_one_on_the_models_tokens_and_zero_on_observations() -> None:
    policy = scripted_policy(ADD, ANSWER)
    client = policy.client
    assert isinstance(client, ScriptedClient)
    trajectory = await rollout(QUESTION, policy, ScriptedTools(adds), LIMITS, SAMPLING)
    ids, mask, logprobs = trajectory.response()
    first, second = (turn.token_ids or () for turn in trajectory.turns)
    seen = trajectory.turns[0].observation_ids
    assert ids == [*first, *seen, *second]
    assert mask == [1] * len(first) + [0] * len(seen) + [1] * len(second)
    assert all((lp == 0.0) == (m == 0) for lp, m in zip(logprobs, mask, strict=True))
    # Token in, token out: what the model is asked next is what it said, extended; nothing is tokenised again.
    assert client.prompts[1] == client.prompts[0] + [*first, *seen]


async def test_falsy_results_are_shown() -> None:
    async def zero(call: ToolCall) -> Observation:
        return Observation(name="subtract", content="0")

    trajectory = await rollout(QUESTION, scripted_policy(ADD, ANSWER), ScriptedTools(zero), LIMITS, SAMPLING)
    text = trajectory.turns[0].observation_ids
    assert "\n0\n" in ScriptedClient([]).chat.tokenizer.decode(text)


@pytest.mark.parametrize(
    ("turn", "error_type", "text"),
    [
        (UNKNOWN, "unknown_tool", "unknown tool 'calculate'"),
        (BROKEN, "malformed_call", "malformed tool call: not JSON"),
    ],
)
async def test_a_bad_call_is_told_to_the_model_and_never_runs(turn: str, error_type: str, text: str) -> None:
    trajectory = await rollout(QUESTION, scripted_policy(turn, ANSWER), ScriptedTools(adds), LIMITS, SAMPLING)
    [seen] = trajectory.observations
    assert (seen.ok, seen.executed, seen.error_type) == (False, False, error_type)
    assert text in seen.content
    assert trajectory.executed_calls == ()


async def test_limits_end_a_trajectory_each_with_its_own_reason() -> None:
    async def ended(limits: RolloutLimits, *turns: str) -> Termination:
        return (await rollout(QUESTION, scripted_policy(*turns), ScriptedTools(adds), limits, SAMPLING)).termination

    assert await ended(RolloutLimits(max_turns=2), ADD, ADD, ANSWER) is Termination.MAX_TURNS
    assert await ended(RolloutLimits(max_consecutive_invalid=2), UNKNOWN, BROKEN, ANSWER) is Termination.INVALID_LIMIT
    assert await ended(RolloutLimits(max_consecutive_invalid=2), UNKNOWN, ADD, BROKEN, ANSWER) is Termination.ANSWERED
    assert await ended(LIMITS, "and so on[CUT]") is Termination.LENGTH
    assert await ended(RolloutLimits(max_response_tokens=10), ADD, ANSWER) is Termination.LENGTH


async def test_the_response_never_outgrows_its_budget() -> None:
    for budget in (5, 20, 30, 45, 60, 80):
        limits = RolloutLimits(max_response_tokens=budget)
        trajectory = await rollout(QUESTION, scripted_policy(ADD, ADD, ANSWER), ScriptedTools(adds), limits, SAMPLING)
        assert len(trajectory.response()[0]) <= budget


async def test_calls_of_a_cut_off_turn_do_not_run() -> None:
    trajectory = await rollout(QUESTION, scripted_policy(ADD + "[CUT]"), ScriptedTools(adds), LIMITS, SAMPLING)
    assert (trajectory.termination, trajectory.calls) == (Termination.LENGTH, ())


async def test_an_outage_is_infrastructure_and_has_no_answer() -> None:
    trajectory = await rollout(QUESTION, scripted_policy(ADD, ANSWER), ScriptedTools(outage), LIMITS, SAMPLING)
    assert (trajectory.termination, trajectory.answer) == (Termination.INFRASTRUCTURE, None)
    assert trajectory.error == "the sandbox is gone"


async def test_a_time_out_of_ours_is_infrastructure() -> None:
    limits = RolloutLimits(trajectory_timeout_s=0.05)
    trajectory = await rollout(QUESTION, scripted_policy(ADD), ScriptedTools(hang), limits, SAMPLING)
    assert trajectory.termination is Termination.INFRASTRUCTURE


async def test_a_refused_request_escapes_because_it_can_never_work() -> None:
    with pytest.raises(UserError):
        await rollout(QUESTION, scripted_policy(UserError("no such model")), ScriptedTools(adds), LIMITS, SAMPLING)


async def test_calls_of_one_turn_run_together_and_are_answered_in_order() -> None:
    started = asyncio.Event()

    async def waits_for_its_sibling(call: ToolCall) -> Observation:
        if call.arguments["firstNumber"] == 1:
            await started.wait()
        else:
            started.set()
        return Observation(name="add", content=str(call.arguments["firstNumber"]))

    both = "\n".join(ADD.replace("2,", f"{n},", 1) for n in (1, 2))
    limits = RolloutLimits(trajectory_timeout_s=5)
    policy = scripted_policy(both, ANSWER)
    trajectory = await rollout(QUESTION, policy, ScriptedTools(waits_for_its_sibling), limits, SAMPLING)
    assert [o.content for o in trajectory.observations] == ["1", "2"]


async def test_long_observations_are_cut_and_say_so() -> None:
    async def floods(call: ToolCall) -> Observation:
        return Observation(name="add", content="x" * 5000)

    limits = RolloutLimits(max_observation_chars=100, max_response_tokens=8000)
    trajectory = await rollout(QUESTION, scripted_policy(ADD, ANSWER), ScriptedTools(floods), limits, SAMPLING)
    assert trajectory.observations[0].content == "x" * 100 + "\n[4900 characters cut]"


async def test_turns_are_seeded_each_on_its_own_and_the_same_every_time() -> None:
    async def seeds(sample: int) -> list[int | None]:
        policy = scripted_policy(ADD, ANSWER)
        await rollout(QUESTION, policy, ScriptedTools(adds), LIMITS, SAMPLING, sample=sample)
        assert isinstance(policy.client, ScriptedClient)
        return [params.seed for params in policy.client.params]

    assert await seeds(0) == await seeds(0)
    assert len({*await seeds(0), *await seeds(1)}) == 4


class FakeChat:
    """A chat client that answers from a list and keeps what it was sent."""

    def __init__(self, *replies: ChatCompletion) -> None:
        self.replies = list(replies)
        self.sent: list[list[dict[str, Any]]] = []

    async def chat(self, messages: list[dict[str, Any]], *_: Any, **__: Any) -> ChatCompletion:
        self.sent.append(messages)
        return self.replies.pop(0)


async def test_chat_mode_sends_calls_and_results_back_as_messages() -> None:
    call = ToolCall(name="add", arguments={"firstNumber": 2, "secondNumber": 3}, id="abc")
    client = FakeChat(ChatCompletion(content="", tool_calls=(call,)), ChatCompletion(content=ANSWER))
    trajectory = await rollout(QUESTION, ChatPolicy(client, "m"), ScriptedTools(adds), LIMITS, SAMPLING)
    assert (trajectory.mode, trajectory.answer, trajectory.prompt_ids) == ("chat", "5", None)
    _, assistant, tool = client.sent[1]
    sent = assistant["tool_calls"][0]
    assert json.loads(sent["function"]["arguments"]) == {"firstNumber": 2, "secondNumber": 3}
    assert (tool["role"], tool["content"], tool["tool_call_id"]) == ("tool", "5", sent["id"])


async def test_no_trajectory_waits_for_another_and_results_come_as_they_finish() -> None:
    release = asyncio.Event()

    async def first_is_slow(call: ToolCall) -> Observation:
        await release.wait()
        return Observation(name="add", content="5")

    class ByQuestion:
        mode, model = "token", "scripted"

        def start(self, question: Question, tools: Any) -> Any:
            turns = (ADD, ANSWER) if question.id == "slow" else (ANSWER,)
            return TokenPolicy(ScriptedClient(turns), ScriptedClient([]).chat).start(question, tools)

    tasks = [Task(question=Question(id=name, question="?")) for name in ("slow", "a", "b", "c")]
    finished = []
    stream = run_many(
        tasks, ByQuestion(), lambda q: ScriptedTools(first_is_slow), LIMITS, SAMPLING, Schedule(concurrency=2)
    )
    async for task, _ in stream:
        finished.append(task.question.id)
        if len(finished) == 3:
            release.set()
    assert finished[-1] == "slow" and sorted(finished) == ["a", "b", "c", "slow"]


async def test_infrastructure_failures_are_tried_again_and_then_given_out_as_such() -> None:
    attempts = 0

    class Flaky:
        mode, model = "token", "scripted"

        def start(self, question: Question, tools: Any) -> Any:
            nonlocal attempts
            attempts += 1
            turns: tuple[str | Exception, ...] = (ANSWER,) if attempts == 3 else (InfrastructureError("gone"),)
            return TokenPolicy(ScriptedClient(turns), ScriptedClient([]).chat).start(question, tools)

    async def no_sleep(seconds: float) -> None:
        return None

    async def outcome(schedule: Schedule) -> Termination:
        stream = run_many(
            [Task(question=QUESTION)], Flaky(), lambda q: ScriptedTools(adds), LIMITS, SAMPLING, schedule, no_sleep
        )
        [(_, trajectory)] = [pair async for pair in stream]
        return trajectory.termination

    assert await outcome(Schedule(attempts=3)) is Termination.ANSWERED
    attempts = 0
    assert await outcome(Schedule(attempts=2)) is Termination.INFRASTRUCTURE


async def test_no_more_slots_begin_than_there_is_work_for() -> None:
    asked = 0

    class One:
        async def take(self) -> Task | None:
            nonlocal asked
            asked += 1
            return Task(question=QUESTION) if asked == 1 else None

        def settle(self, task: Task, trajectory: Trajectory) -> None: ...

    policy = scripted_policy(ANSWER)
    schedule = Schedule(concurrency=100_000)
    found = [t async for _, t in run_many(One(), policy, lambda q: ScriptedTools(adds), LIMITS, SAMPLING, schedule)]
    assert len(found) == 1 and 2 <= asked < schedule.concurrency
