"""verl's agent loop, run by ``mentor.rollout``: the same loop, tools and parser as teacher and evaluator use."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput

from mentor.chat import ChatFormat, load_format
from mentor.errors import MentorError
from mentor.inference.base import SamplingParams
from mentor.rollout import TokenPolicy, rollout
from mentor.rpc.retry import RetryPolicy
from mentor.tools.registry import ToolRegistry
from mentor.tools.toolbox import ToolBox
from mentor.trajectory import Question, Termination, Trajectory
from mentor_trainer.verl_ext.client import VerlTokenClient
from mentor_trainer.verl_ext.patches import make_loops_directly
from mentor_trainer.verl_ext.reward import STEP, TRACE
from mentor_trainer.verl_ext.runtime import Runtime, runtime_of

logger = logging.getLogger(__name__)
make_loops_directly()


@dataclass
class _Shared:
    """What all trajectories of a process share: settings, the proven chat format, one channel per service."""

    config: Any
    tokenizer: Any

    @cached_property
    def runtime(self) -> Runtime:
        return runtime_of(self.config)

    @cached_property
    def chat_format(self) -> ChatFormat:
        return load_format(self.tokenizer, self.runtime.chat_format, **self.runtime.template_kwargs)

    @cached_property
    def toolbox(self) -> ToolBox:
        runtime = self.runtime
        registry = ToolRegistry(search_url=runtime.retriever_url, default=runtime.tools)
        retry = RetryPolicy(deadline_s=max(1.0, runtime.infrastructure_wait_s))
        return ToolBox(registry, runtime.sandbox_url, runtime.retriever_url, retry)


_shared: _Shared | None = None


def _process_wide(config: Any, tokenizer: Any) -> _Shared:
    """verl makes one loop object per trajectory; channels and the chat format must outlive it."""
    global _shared
    if _shared is None or _shared.config is not config:
        _shared = _Shared(config, tokenizer)
    return _shared


class MentorAgentLoop(AgentLoopBase):  # type: ignore[misc]
    """One trajectory with tools.

    ``run`` never raises: a sample that cannot be had becomes a failed trajectory, whose mask of zeros takes it out of
    loss and group (see ``advantage``). An exception would make verl drop the whole group of the question instead.
    """

    def __init__(self, trainer_config: Any, server_manager: Any, tokenizer: Any, **_: Any) -> None:
        # Not AgentLoopBase's own: it builds verl's renderer for every trajectory, which our chat format replaces and
        # which refuses tokenizers that ours supports.
        self.config = trainer_config.config
        self.rollout_config = self.config.actor_rollout_ref.rollout
        self.server_manager = server_manager
        self.tokenizer = tokenizer
        self.shared = _process_wide(self.config, tokenizer)

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Sample one trajectory of the question in ``kwargs`` (a row of ``dataset.row``, plus verl's bookkeeping)."""
        started = time.monotonic()
        question = Question.model_validate_json(str(kwargs["question"]))
        sample, step = int(kwargs.get("session_id", 0)), int(kwargs.get("global_steps", 0))
        client = VerlTokenClient(self.server_manager, session=f"{kwargs.get('uid', question.id)}-{sample}")
        sampling = _sampling(sampling_params, self.shared.runtime, step)
        trajectory = await self._sample(client, question, sampling, sample)
        version = max(0, step - 1)
        output = to_output(trajectory, self._prompt_ids(trajectory, question), int(self.tokenizer.eos_token_id))
        output.extra_fields |= {
            STEP: max(1, step),
            "min_global_steps": min(client.versions, default=version),
            "max_global_steps": max(client.versions, default=version),
        }
        output.metrics.tool_calls = sum(o.duration_ms for o in trajectory.observations) / 1000
        output.metrics.generate_sequences = time.monotonic() - started - output.metrics.tool_calls
        return output

    async def _sample(
        self, client: VerlTokenClient, question: Question, sampling: SamplingParams, sample: int
    ) -> Trajectory:
        """Roll out, again after an outage, until ``infrastructure_wait_s`` is over."""
        runtime, delay = self.shared.runtime, 0.5
        give_up = time.monotonic() + runtime.infrastructure_wait_s
        while True:
            trajectory = await self._attempt(client, question, sampling, sample)
            if not trajectory.failed or time.monotonic() + delay > give_up:
                return trajectory
            await asyncio.sleep(delay)
            delay = min(2 * delay, 8.0)

    async def _attempt(
        self, client: VerlTokenClient, question: Question, sampling: SamplingParams, sample: int
    ) -> Trajectory:
        try:
            toolset = self.shared.toolbox.toolset(question)
            policy = TokenPolicy(client, self.shared.chat_format, system=self.shared.runtime.system)
            return await rollout(question, policy, toolset, self.shared.runtime.limits, sampling, sample=sample)
        except MentorError as error:
            return _lost(question, sample, str(error))
        except Exception as error:
            logger.exception("question %s, sample %d: the agent loop failed", question.id, sample)
            return _lost(question, sample, f"{type(error).__name__}: {error}")

    def _prompt_ids(self, trajectory: Trajectory, question: Question) -> list[int]:
        if trajectory.prompt_ids:
            return list(trajectory.prompt_ids)
        return [int(self.tokenizer.eos_token_id)]  # lost before it was rendered: any token will do, none is learnt from


def to_output(trajectory: Trajectory, prompt_ids: list[int], filler: int) -> AgentLoopOutput:
    """A trajectory as verl's tensors want it, with the structured trace beside them.

    A failed trajectory becomes one masked filler token: it costs no compute and contributes nothing.
    """
    ids, mask, logprobs = ([], [], []) if trajectory.failed else trajectory.response()
    if not ids:
        ids, mask, logprobs = [filler], [0], [0.0]
    # Prompt ids and log-probabilities are beside the trace as tensors; token ids stay, overlong shaping counts them.
    turns = tuple(turn.model_copy(update={"logprobs": None}) for turn in trajectory.turns)
    trace = trajectory.model_copy(update={"turns": turns, "prompt_ids": None})
    return AgentLoopOutput(
        prompt_ids=prompt_ids,
        response_ids=ids,
        response_mask=mask,
        response_logprobs=logprobs,
        num_turns=2 * len(trajectory.turns),
        metrics=AgentLoopMetrics(),
        extra_fields={TRACE: trace.model_dump_json(exclude_defaults=True)},
    )


def _sampling(verl_params: dict[str, Any], runtime: Runtime, step: int) -> SamplingParams:
    """verl's parameters (it lowers the temperature for validation), with a seed of their own for every step."""
    return SamplingParams(
        temperature=float(verl_params.get("temperature", 1.0)),
        top_p=float(verl_params.get("top_p", 1.0)),
        top_k=int(verl_params.get("top_k", -1)),
        max_tokens=runtime.max_response_tokens,
        seed=zlib.crc32(f"{runtime.seed}/{step}".encode()) & 0x7FFFFFFF,
    )


def _lost(question: Question, sample: int, error: str) -> Trajectory:
    return Trajectory(
        question_id=question.id,
        question=question.question,
        termination=Termination.INFRASTRUCTURE,
        sample=sample,
        error=error,
    )
