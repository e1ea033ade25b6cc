"""What a model server may do wrong, each counted under its own name and handled by whose fault it is.

The server's: tried again, elsewhere where there is another endpoint; set aside if it lasts, never scored. One request's: ends
that trajectory. The model's: an observation that it is told, and an answer that is scored.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mentor.data import write_questions
from mentor.errors import InfrastructureError, UserError
from mentor.rollout.connect import ModelSource
from mentor.rollout.solve import load_questions, solve
from mentor.rollout.spec import SolveSpec
from mentor.trajectory import Question, Termination, Trajectory
from tests.support.quiet import Quiet
from tests.support.rude_server import MODEL, Body, Says, call, chat, error, rude_server, tokens
from tests.support.service_process import running_process
from tests.support.tokenizers import tokenizer

ADD = '{"firstNumber": 2, "secondNumber": 3}'
RIGHT = chat("\\boxed{5}")
ENDED = (Termination.ANSWERED, "5")


class Watched(Quiet):
    """Keeps what is counted."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.told: list[str] = []

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        labels.pop("endpoint", None)
        self.counts[name.removeprefix("mentor_model_"), *labels.values()] += int(amount)

    def tell(self, message: str, **metrics: Any) -> None:
        self.told.append(message)

    @property
    def faults(self) -> dict[str, int]:
        """By name."""
        return {name[1]: number for name, number in self.counts.items() if name[0] == "faults"}


@pytest.fixture(scope="module")
def sandbox_target() -> Iterator[str]:
    with running_process("mentor_sandbox") as service:
        yield service.grpc


def questions(number: int, tools: tuple[str, ...] | None = ()) -> list[Question]:
    return [
        Question(id=f"q{n}", question=f"What is 2 plus 3, {n}?", answers=("5",), tools=tools) for n in range(number)
    ]


async def solved(
    tmp_path: Path, urls: list[str], asked: list[Question], **fields: Any
) -> tuple[list[Trajectory], Watched]:
    write_questions(asked, tmp_path / "questions.jsonl")
    model = fields.pop("model", {})
    source = ModelSource.model_validate({"url": urls[0], "name": MODEL, "replicas": urls[1:], **model})
    values = {"max_infrastructure_share": 1.0, "limits": {"turn_timeout_s": 20}, **fields}
    spec = SolveSpec.model_validate({"model": source, "questions": str(tmp_path / "questions.jsonl"), **values})
    watched = Watched(tmp_path / "work")
    found = await asyncio.to_thread(solve, spec, load_questions(spec), watched)
    assert found is not None
    return found, watched


def first(wrong: Says, times: int = 1) -> Callable[[Body], Says]:
    """Does it wrong so many times, then right."""
    left = itertools.count()
    return lambda body: wrong if next(left) < times else RIGHT


PASSING = {
    "429 without Retry-After": (error(429, "Rate limit reached"), "overloaded"),
    "429 with Retry-After": (error(429, "Rate limit reached", retry_after="1"), "overloaded"),
    "503 with Retry-After": (error(503, "loading", retry_after="1"), "overloaded"),
    "503": (error(503, "no healthy upstream"), "unavailable"),
    "500": (error(500, "CUDA error"), "server_error"),
    "truncated JSON": (Says(body='{"choices": [{"index": 0, "mess'), "not_json"),
    "HTML in place of JSON": (Says(body="<html>502 Bad Gateway</html>"), "not_json"),
    "a list in place of an object": (Says(body="[]"), "bad_shape"),
    "a message in an unknown shape": (Says(body={"choices": [{"message": "hello"}]}), "bad_shape"),
    "a cut stream": (Says(body=RIGHT.body, cut=20), "cut_off"),
    "a connection that breaks at once": (Says(body=RIGHT.body, cut=0), "cut_off"),
    "two choices": (Says(body={"choices": [{"message": {"content": "a"}}] * 2}), "wrong_choices"),
    "no choice": (Says(body={"choices": []}), "wrong_choices"),
    "a key that is refused now": (error(401, "Incorrect API key"), "refuses_now"),
    "a model that is not known now": (error(404, "The model does not exist"), "refuses_now"),
}
"""Of the server: counted, tried again, and gone."""


@pytest.mark.parametrize("case", list(PASSING))
async def test_what_is_the_servers_fault_is_tried_again_and_costs_no_trajectory(tmp_path: Path, case: str) -> None:
    wrong, name = PASSING[case]
    async with rude_server(first(wrong, times=2)) as server:
        found, watched = await solved(tmp_path, [server.url], questions(2), concurrency=1)
    assert [(t.termination, t.answer) for t in found] == [ENDED] * 2
    assert watched.faults == {name: 2}


async def test_a_server_that_never_answers_is_a_time_out_and_the_sample_is_lost_not_scored(tmp_path: Path) -> None:
    def behave(body: Body) -> Says:
        return Says(hangs=True) if "0?" in body["messages"][-1]["content"] else RIGHT

    async with rude_server(behave) as server:
        limits = {"turn_timeout_s": 0.5}
        found, watched = await solved(tmp_path, [server.url], questions(2), limits=limits)
    assert [t.termination for t in found] == [Termination.INFRASTRUCTURE, Termination.ANSWERED]
    assert "correct" in found[0].metadata and "verdict" not in found[0].metadata
    assert watched.faults == {"timeout": 2}  # the driver tries a lost trajectory once more


async def test_beyond_the_allowed_share_lost_samples_fail_the_job(tmp_path: Path) -> None:
    async with rude_server(lambda body: Says(hangs=True)) as server:
        with pytest.raises(
            InfrastructureError, match=r"trajectories lost to infrastructure; the last: .* did not answer"
        ):
            await solved(
                tmp_path, [server.url], questions(4), limits={"turn_timeout_s": 0.2}, max_infrastructure_share=0.5
            )


@pytest.mark.parametrize(
    ("wrong", "name", "end"),
    [
        (error(400, "This model's maximum context length is 1024 tokens"), "context_length", Termination.LENGTH),
        (error(400, "filtered", code="content_filter"), "content_filter", Termination.REFUSED),
        (chat("", finish="content_filter"), "content_filter", Termination.REFUSED),
        (error(400, "roles must alternate"), "refused", Termination.REFUSED),
    ],
)
async def test_a_refusal_of_one_request_ends_that_trajectory_alone(
    tmp_path: Path, wrong: Says, name: str, end: Termination
) -> None:
    def behave(body: Body) -> Says:
        return wrong if "1?" in body["messages"][-1]["content"] else RIGHT

    async with rude_server(behave) as server:
        found, watched = await solved(tmp_path, [server.url], questions(3))
    assert [t.termination for t in found] == [Termination.ANSWERED, end, Termination.ANSWERED]
    assert set(watched.faults) == {name}
    assert watched.counts["breaker_opened", name] == 0 and not found[1].failed


async def test_a_wrong_model_name_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    async with rude_server(first(RIGHT), served=("other",)) as server:
        with pytest.raises(UserError, match=r"does not serve 'rude' \(allowed: other\)"):
            await solved(tmp_path, [server.url], questions(1))
        async with rude_server(first(RIGHT)) as good:
            with pytest.raises(UserError, match=f"{server.url} does not serve 'rude'"):
                await solved(tmp_path, [good.url, server.url], questions(1))
    assert not server.asked


@pytest.mark.parametrize(
    ("arguments", "name", "executed"),
    [
        ({"firstNumber": 2, "secondNumber": 3}, "arguments_as_object", ["5"]),
        (f"{ADD}{ADD}", "joined_calls", ["5", "5"]),
        (f"{ADD}\n{ADD}", "joined_calls", ["5", "5"]),
    ],
)
async def test_calls_in_unexpected_shapes_that_can_be_read_are_run(
    tmp_path: Path, sandbox_target: str, arguments: Any, name: str, executed: list[str]
) -> None:
    def behave(body: Body) -> Says:
        return RIGHT if body["messages"][-1]["role"] == "tool" else chat(calls=[call("add", arguments)])

    async with rude_server(behave) as server:
        [found], watched = await solved(
            tmp_path, [server.url], questions(1, tools=None), backends={"sandbox": sandbox_target}
        )
    assert [o.content for o in found.observations] == executed and found.answer == "5"
    assert watched.faults == {name: 1}


async def test_calls_left_in_the_text_are_run(tmp_path: Path, sandbox_target: str) -> None:
    written = f'<tool_call>\n{{"name": "add", "arguments": {ADD}}}\n</tool_call>'

    def behave(body: Body) -> Says:
        return RIGHT if body["messages"][-1]["role"] == "tool" else chat(written)

    async with rude_server(behave) as server:
        [found], watched = await solved(
            tmp_path, [server.url], questions(1, tools=None), backends={"sandbox": sandbox_target}
        )
    assert [c.name for c in found.executed_calls] == ["add"] and found.answer == "5"
    assert watched.faults == {"calls_in_text": 1}


@pytest.mark.parametrize("arguments", ['{"firstNumber": 2,', "[1, 2]", '"text"', f"{ADD} and more"])
async def test_arguments_that_cannot_be_read_are_the_models_and_it_is_told(tmp_path: Path, arguments: str) -> None:
    shown: list[str] = []

    def behave(body: Body) -> Says:
        if body["messages"][-1]["role"] == "tool":
            shown.append(body["messages"][-1]["content"])
            return RIGHT
        return chat(calls=[call("add", arguments)])

    async with rude_server(behave) as server:
        [found], watched = await solved(tmp_path, [server.url], questions(1, tools=None))
    assert (found.termination, found.answer) == ENDED
    assert [o.error_type for o in found.observations] == ["malformed_call"] and "malformed tool call" in shown[0]
    assert watched.faults == {}


async def test_invalid_calls_in_a_loop_end_the_trajectory(tmp_path: Path) -> None:
    async with rude_server(lambda body: chat(calls=[call("hammer", ADD)])) as server:
        [found], watched = await solved(tmp_path, [server.url], questions(1, tools=None), limits={"max_turns": 50})
    assert found.termination is Termination.INVALID_LIMIT
    assert [o.error_type for o in found.observations] == ["unknown_tool"] * 3
    assert watched.counts["mentor_trajectories", "invalid_limit", "false"] == 1


async def test_empty_answers_are_unanswered_and_counted(tmp_path: Path) -> None:
    async with rude_server(lambda body: chat("")) as server:
        found, watched = await solved(tmp_path, [server.url], questions(2))
    assert [(t.termination, t.answer) for t in found] == [(Termination.ANSWERED, None)] * 2
    assert watched.faults == {"empty_answer": 2}


async def test_a_server_that_ignores_tools_lets_the_model_answer_without(tmp_path: Path) -> None:
    async with rude_server(lambda body: RIGHT) as server:
        [found], _ = await solved(tmp_path, [server.url], questions(1, tools=None))
    assert (found.termination, found.answer, found.calls) == (*ENDED, ())


async def test_a_server_that_invents_calls_where_no_tools_were_offered_is_counted(tmp_path: Path) -> None:
    def behave(body: Body) -> Says:
        return RIGHT if body["messages"][-1]["role"] == "tool" else chat(calls=[call("add", ADD)])

    async with rude_server(behave) as server:
        [found], watched = await solved(tmp_path, [server.url], questions(1))
    assert [o.error_type for o in found.observations] == ["unknown_tool"]
    assert watched.faults == {"undeclared_calls": 1}


async def test_a_server_that_ignores_max_tokens_has_its_answer_taken_as_cut_off(tmp_path: Path) -> None:
    long = chat("\\boxed{5}", usage={"prompt_tokens": 10, "completion_tokens": 900})
    async with rude_server(lambda body: long) as server:
        sampling = {"max_tokens": 100}
        [found], watched = await solved(tmp_path, [server.url], questions(1), sampling=sampling)
    assert (found.termination, found.answer) == (Termination.LENGTH, None)
    assert watched.faults == {"over_max_tokens": 1}


async def test_text_behind_the_end_of_the_turn_is_dropped(tmp_path: Path) -> None:
    async with rude_server(lambda body: chat("\\boxed{5}<|im_end|>\n<|im_start|>user\n\\boxed{6}")) as server:
        [found], watched = await solved(tmp_path, [server.url], questions(1))
    assert (found.termination, found.answer, found.turns[0].text) == (*ENDED, "\\boxed{5}")
    assert watched.faults == {"after_end_of_turn": 1}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    path = tmp_path / "tokenizer"
    tokenizer().save_pretrained(path)
    return str(path)


async def test_token_mode_cuts_what_a_server_sends_too_much_of(tmp_path: Path, folder: str) -> None:
    encode, end = tokenizer().encode, tokenizer().encode("<|im_end|>")
    answer = encode("\\boxed{5}")
    says = iter([tokens([*answer, *end, *answer], logprobs=2 * len(answer) + 1), tokens([7] * 300)])
    async with rude_server(lambda body: next(says)) as server:
        found, watched = await solved(
            tmp_path,
            [server.url],
            questions(2),
            model={"tokenizer": folder},
            sampling={"max_tokens": 100},
            concurrency=1,
        )
    assert found[0].turns[0].token_ids == (*answer, *end) and found[0].answer == "5"
    assert len(found[0].turns[0].logprobs or ()) == len(answer) + 1
    assert (found[1].termination, len(found[1].turns[0].token_ids or ())) == (Termination.LENGTH, 100)
    assert watched.faults == {"after_end_of_turn": 1, "over_max_tokens": 1}


async def test_a_server_that_ignores_seed_gives_samples_that_are_told_to_be_the_same(tmp_path: Path) -> None:
    from mentor.rollout.solve import Drawn, Spent
    from mentor_teacher.generation import facts_of
    from mentor_teacher.spec import TeacherSpec

    seeds: list[int] = []

    def behave(body: Body) -> Says:
        seeds.append(body["seed"])
        return RIGHT

    async with rude_server(behave) as server:
        found, _ = await solved(tmp_path, [server.url], questions(2), samples=4)
        spec = TeacherSpec.model_validate({"model": {"url": server.url, "name": MODEL}, "questions": "q", "samples": 4})
    assert len(set(seeds)) == 8  # every sample was asked with a seed of its own
    assert facts_of(spec, Drawn(trajectories=tuple(found), spent=Spent()))["identical_samples"] == 6


async def test_a_server_that_slows_down_tenfold_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    asked = itertools.count()

    def behave(body: Body) -> Says:
        return Says(body=RIGHT.body, wait_s=0.01 if next(asked) < 50 else 0.1)

    async with rude_server(behave) as server:
        found, watched = await solved(tmp_path, [server.url], questions(200), concurrency="auto", max_concurrency=64)
    assert [(t.termination, t.answer) for t in found] == [ENDED] * 200
    assert watched.faults == {} and set(server.asked.values()) == {1}


LIES = {
    "two choices": Says(body={"choices": [{"message": {"content": "\\boxed{6}"}}] * 2}),
    "malformed JSON": Says(body='{"choices": ['),
    "an error for all": error(500, "out of memory"),
    "a cut stream": Says(body=RIGHT.body, cut=10),
}


@pytest.mark.parametrize("lie", list(LIES))
async def test_one_replica_of_three_that_lies_is_taken_out_and_the_others_go_on(tmp_path: Path, lie: str) -> None:
    # As slow as the others, so that it is not kept busy by answering faster.
    bad = Says(**{**LIES[lie].__dict__, "wait_s": 0.02})
    good = Says(body=RIGHT.body, wait_s=0.02)
    async with (
        rude_server(lambda body: good) as a,
        rude_server(lambda body: bad) as liar,
        rude_server(lambda body: good) as b,
    ):
        found, watched = await solved(tmp_path, [a.url, liar.url, b.url], questions(120), concurrency=12)
    assert [(t.termination, t.answer) for t in found] == [ENDED] * 120
    [(name, number)] = watched.faults.items()
    assert watched.counts["breaker_opened", name] >= 1
    # Those that were in flight when it opened, and a probe now and then.
    assert 5 <= number == sum(liar.asked.values()) <= 5 + 12 + 5
    assert sum(a.asked.values()) + sum(b.asked.values()) == 120
    assert any("is left alone for a while" in said for said in watched.told)


async def test_a_replica_without_token_ids_is_taken_out_in_token_mode(tmp_path: Path, folder: str) -> None:
    ids = [*tokenizer().encode("\\boxed{5}"), *tokenizer().encode("<|im_end|>")]
    good = Says(body=tokens(ids).body, wait_s=0.02)
    bad = Says(body={"choices": [{"index": 0, "text": "\\boxed{5}", "finish_reason": "stop"}]}, wait_s=0.02)
    async with rude_server(lambda body: good) as a, rude_server(lambda body: bad) as liar:
        found, watched = await solved(
            tmp_path, [a.url, liar.url], questions(60), model={"tokenizer": folder}, concurrency=8
        )
    assert [(t.termination, t.answer) for t in found] == [ENDED] * 60
    assert watched.counts["breaker_opened", "no_token_ids"] >= 1 and liar.asked


async def test_a_trajectory_stays_with_its_replica_and_leaves_it_only_when_it_is_down(tmp_path: Path) -> None:
    def behave(body: Body) -> Says:
        said = chat(calls=[call("hammer", "{}")]) if len(body["messages"]) < 4 else RIGHT
        return Says(body=said.body, wait_s=0.005)

    async with rude_server(behave) as a, rude_server(behave) as b:
        found, _ = await solved(tmp_path, [a.url, b.url], questions(60, tools=None), concurrency=10)
        assert not a.trajectories & b.trajectories
        assert min(len(a.trajectories), len(b.trajectories)) >= 20  # the load is shared
    assert [(t.termination, t.answer) for t in found] == [ENDED] * 60


async def test_a_replica_that_is_away_at_the_start_costs_nothing(tmp_path: Path) -> None:
    async with rude_server(lambda body: RIGHT) as server:
        found, watched = await solved(tmp_path, ["http://127.0.0.1:9", server.url], questions(10))
    assert [(t.termination, t.answer) for t in found] == [ENDED] * 10
    assert watched.counts["breaker_opened", "unreachable"] >= 1


async def test_an_endpoint_that_refuses_beyond_a_bound_is_asked_for_no_more_than_it_bears(tmp_path: Path) -> None:
    bound = 12

    def behave(body: Body) -> Says:
        return error(429, "busy") if server.in_flight >= bound else Says(body=RIGHT.body, wait_s=0.02)

    async with rude_server(behave) as server:
        found, watched = await solved(tmp_path, [server.url], questions(600), concurrency="auto", max_concurrency=256)
    assert [(t.termination, t.answer) for t in found] == [ENDED] * 600
    assert server.most_in_flight <= 3 * bound
    assert 0 < watched.faults["overloaded"] < 200
