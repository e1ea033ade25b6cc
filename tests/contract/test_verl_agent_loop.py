"""Our agent loop and reward manager, driven as verl drives them; and verl's loss on what they produce."""

from __future__ import annotations

from tests.support import verl_cpu  # noqa: F401  isort: skip  (before anything of verl)

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from transformers import AutoTokenizer
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, DictConfigWrap
from verl.protocol import DataProto
from verl.utils.dataset.rl_dataset import collate_fn, get_dataset_class
from verl.utils.tensordict_utils import assign_non_tensor
from verl.workers.config import FSDPActorConfig
from verl.workers.rollout.replica import TokenOutput
from verl.workers.utils.losses import ppo_loss

from mentor.chat import load_format
from mentor.errors import InfrastructureError
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Observation, Question, ToolCall, Trajectory
from mentor_trainer.verl_ext import agent_loop as module
from mentor_trainer.verl_ext.agent_loop import MentorAgentLoop
from mentor_trainer.verl_ext.dataset import MentorDataset, row
from mentor_trainer.verl_ext.reward import MentorRewardManager
from tests.support.training import STUDENT, addition, write_set

TOKENIZER = AutoTokenizer.from_pretrained(STUDENT)
FORMAT = load_format(TOKENIZER)
QUESTION = addition(12, 30)
CALL = '<tool_call>\n{"name": "add", "arguments": {"firstNumber": 12, "secondNumber": 30}}\n</tool_call>'
PARAMS = {"temperature": 1.0, "top_p": 1.0, "top_k": -1}


def config(**runtime: Any) -> Any:
    section = {"max_response_tokens": 200, "infrastructure_wait_s": 0.0, "sandbox_url": "127.0.0.1:1", **runtime}
    return OmegaConf.create({"mentor": section, "actor_rollout_ref": {"rollout": {}}})


class Servers:
    """verl's server manager, saying what it is told to."""

    def __init__(self, *texts: str | Exception) -> None:
        self.texts = list(texts)
        self.requests: list[dict[str, Any]] = []

    async def generate(self, request_id: str, **fields: Any) -> TokenOutput:
        self.requests.append({"request_id": request_id, **fields})
        text = self.texts.pop(0)
        if isinstance(text, Exception):
            raise text
        ids = FORMAT.encode(text + FORMAT.end_of_turn)
        return TokenOutput(
            token_ids=ids, log_probs=[-0.5] * len(ids), stop_reason="completed", extra_fields={"global_steps": 6}
        )


class Tools:
    """Answers every call with one observation, or raises."""

    def __init__(self, answer: str | Exception) -> None:
        self.specs = ToolRegistry().for_question(QUESTION)
        self.answer = answer

    async def run(self, call: ToolCall) -> Observation:
        if isinstance(self.answer, Exception):
            raise self.answer
        return Observation(name=call.name, content=self.answer)


async def run(servers: Servers, tools: Tools, monkeypatch: pytest.MonkeyPatch, **runtime: Any) -> AgentLoopOutput:
    monkeypatch.setattr(module, "ToolBox", lambda *_, **__: SimpleNamespace(toolset=lambda question: tools))
    loop = MentorAgentLoop(
        trainer_config=DictConfigWrap(config(**runtime)), server_manager=servers, tokenizer=TOKENIZER, processor=None
    )
    bookkeeping = {"uid": "u1", "session_id": 3, "global_steps": 7}
    return await loop.run(dict(PARAMS), **row(QUESTION, 0), **bookkeeping)


async def reward(
    output: AgentLoopOutput, question: Question = QUESTION, preset: str = "paper_strict"
) -> dict[str, Any]:
    """Score an output as ``AgentLoopWorker._compute_score`` asks for it."""
    data = DataProto(
        batch=TensorDict({"responses": torch.tensor([output.response_ids])}, batch_size=1),
        non_tensor_batch={
            "question": np.array([question.model_dump_json()]),
            "tool_extra_fields": np.array([output.extra_fields], dtype=object),
        },
    )
    return await MentorRewardManager(config(reward=preset), TOKENIZER).run_single(data)


async def test_a_trajectory_becomes_tokens_with_observations_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(CALL, "The sum is \\boxed{42}.")
    output = await run(servers, Tools("42"), monkeypatch)
    first, second = (FORMAT.encode(t + FORMAT.end_of_turn) for t in (CALL, "The sum is \\boxed{42}."))
    observed = FORMAT.render_observations([], [Observation(name="add", content="42")])
    assert output.response_ids == first + observed + second
    assert output.response_mask == [1] * len(first) + [0] * len(observed) + [1] * len(second)
    assert output.response_logprobs == [-0.5 * m for m in output.response_mask]
    assert servers.requests[1]["prompt_ids"] == output.prompt_ids + first + observed


async def test_all_turns_of_a_trajectory_go_to_the_same_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(CALL, "\\boxed{42}")
    await run(servers, Tools("42"), monkeypatch)
    assert {r["request_id"] for r in servers.requests} == {"u1-3"}


async def test_the_weights_version_is_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    output = await run(Servers("\\boxed{42}"), Tools("42"), monkeypatch)
    assert (output.extra_fields["min_global_steps"], output.extra_fields["max_global_steps"]) == (6, 6)


async def test_the_trace_holds_the_structured_trajectory(monkeypatch: pytest.MonkeyPatch) -> None:
    output = await run(Servers(CALL, "\\boxed{42}"), Tools("42"), monkeypatch)
    trace = Trajectory.model_validate_json(output.extra_fields["trajectory"])
    assert trace.answer == "42" and [c.name for c in trace.executed_calls] == ["add"]
    assert json.loads(output.extra_fields["trajectory"]).get("prompt_ids") is None


@pytest.mark.parametrize(
    "broken",
    [
        (Servers(RuntimeError("actor died")), Tools("42")),
        (Servers(CALL), Tools(InfrastructureError("sandbox is away"))),
        (Servers(CALL), Tools(RuntimeError("a bug"))),
    ],
    ids=["server", "sandbox", "bug"],
)
async def test_a_lost_sample_is_one_masked_token_and_no_exception(
    broken: tuple[Servers, Tools], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = await run(*broken, monkeypatch)
    assert output.response_mask == [0] and len(output.response_ids) == len(output.response_logprobs or []) == 1
    assert Trajectory.model_validate_json(output.extra_fields["trajectory"]).failed
    assert isinstance(output.extra_fields["min_global_steps"], int)


async def test_a_lost_sample_is_excluded_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    output = await run(Servers(CALL), Tools(InfrastructureError("sandbox is away")), monkeypatch)
    assert (await reward(output))["reward_extra_info"] == {"excluded": 1.0}


async def test_an_outage_that_passes_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(RuntimeError("away"), CALL, "\\boxed{42}")
    output = await run(servers, Tools("42"), monkeypatch, infrastructure_wait_s=30.0)
    assert (await reward(output))["reward_extra_info"]["correctness"] == 1.0


async def test_the_reward_and_its_components_come_from_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    result = await reward(await run(Servers(CALL, "\\boxed{42}"), Tools("42"), monkeypatch))
    info = result["reward_extra_info"]
    assert result["reward_score"] == pytest.approx(1.1)
    assert (info["correctness"], info["alignment"], info["validation"], info["used_tool"]) == (1, 1, 1, 1)
    assert all(isinstance(value, float) for value in info.values())


async def test_what_a_tool_prints_earns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of the whole response holds the right answer in a box; the student never gave one."""
    output = await run(Servers(CALL, "I do not know."), Tools("\\boxed{42}"), monkeypatch)
    assert "\\boxed{42}" in TOKENIZER.decode(output.response_ids)
    assert (await reward(output))["reward_extra_info"]["correctness"] == 0.0


async def test_a_malformed_call_costs_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "<tool_call>\n{not json\n</tool_call>"
    info = (await reward(await run(Servers(broken, "\\boxed{42}"), Tools("42"), monkeypatch)))["reward_extra_info"]
    assert (info["validation"], info["invalid_calls"], info["used_tool"]) == (0.0, 1.0, 0.0)


def test_verl_loads_the_dataset_and_collates_its_rows(tmp_path: Path) -> None:
    path = write_set(tmp_path, 6)
    data = OmegaConf.create({"custom_cls": {"path": "pkg://mentor_trainer.verl_ext.dataset", "name": "MentorDataset"}})
    assert get_dataset_class(data) is MentorDataset
    dataset = MentorDataset(data_files=[str(path)], config=data, max_samples=4)
    batch = collate_fn([dataset[i] for i in range(len(dataset))])
    assert len(dataset) == 4 and list(batch["index"]) == [0, 1, 2, 3]
    assert Question.model_validate_json(batch["question"][1]).references
    assert batch["raw_prompt"][0][0]["content"].startswith("Question: ")


async def test_the_gradient_of_verls_loss_on_observation_tokens_is_exactly_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through ``ppo_loss``, with KL and entropy terms on, over a good, a bad and a lost trajectory."""
    outputs = [
        await run(Servers(CALL, "\\boxed{42}"), Tools("42"), monkeypatch),
        await run(Servers(CALL, "I do not know."), Tools("7"), monkeypatch),
        await run(Servers(CALL), Tools(InfrastructureError("away")), monkeypatch),
    ]
    advantages = [1.0, -1.0, 0.5]  # of the lost one too: its mask alone must silence it
    data = TensorDict(
        {
            "prompts": nested([o.prompt_ids for o in outputs]),
            "responses": nested([o.response_ids for o in outputs]),
            "response_mask": nested([o.response_mask for o in outputs]),
            "old_log_probs": nested([[-0.5] * len(o.response_ids) for o in outputs]),
            "ref_log_prob": nested([[-0.6] * len(o.response_ids) for o in outputs]),
            "advantages": nested([[a] * len(o.response_ids) for a, o in zip(advantages, outputs, strict=True)]),
        },
        batch_size=3,
    )
    assign_non_tensor(data, dp_size=1, batch_num_tokens=None, global_batch_size=None)
    lengths = [len(o.prompt_ids) + len(o.response_ids) for o in outputs]
    log_probs = torch.full((sum(lengths),), -0.4, requires_grad=True)
    entropy = torch.full((sum(lengths),), 0.7, requires_grad=True)
    actor = FSDPActorConfig(
        strategy="fsdp2", rollout_n=3, ppo_mini_batch_size=3, ppo_micro_batch_size_per_gpu=3, use_kl_loss=True,
        kl_loss_coef=0.1, entropy_coeff=0.1, loss_agg_mode="seq-mean-token-mean",
    )  # fmt: skip
    loss, _ = ppo_loss(actor, {"log_probs": log_probs, "entropy": entropy}, data)
    loss.backward()
    for gradient in (log_probs.grad, entropy.grad):
        assert gradient is not None
        for output, whole in zip(outputs, torch.split(gradient, lengths), strict=True):
            own = whole[len(output.prompt_ids) - 1 : -1]  # the output at a token predicts the next one
            mask = torch.tensor(output.response_mask, dtype=torch.bool)
            assert own[~mask].abs().sum() == 0
            assert whole[: len(output.prompt_ids) - 1].abs().sum() == 0
            assert not mask.any() or own[mask].abs().min() > 0


def nested(rows: list[list[Any]]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(r) for r in rows], layout=torch.jagged)
