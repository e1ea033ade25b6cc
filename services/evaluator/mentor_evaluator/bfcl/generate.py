"""Draw one sample through the shared agent loop: a single request, or a conversation with simulators over user turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from mentor.errors import InfrastructureError
from mentor.inference.base import SamplingParams
from mentor.rollout.chat_policy import assistant_message
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.loop import rollout
from mentor.rollout.policy import Policy
from mentor.trajectory import Frozen, Question, Termination, Trajectory
from mentor_evaluator.bfcl.categories import Mode
from mentor_evaluator.bfcl.results import error_result, record, step_result
from mentor_evaluator.bfcl.simulators import Opening, RecordingTools, SimulatedTools, Simulator, SimulatorLost
from mentor_evaluator.bfcl.steps import StepPolicy, text_exchange

_GONE = (Termination.REFUSED, Termination.INFRASTRUCTURE)


class GenerationLimits(Frozen):
    """Bounds of one sample. ``steps``: calling steps per user turn, as the benchmark has it. Seconds: ``call_s`` of a call to a
    simulator, ``turn_s`` of one request to the model, ``sample_s`` of all."""

    steps: int = Field(default=20, ge=1)
    call_s: float = Field(default=30.0, gt=0)
    sample_s: float = Field(default=3600.0, gt=0)
    turn_s: float = Field(default=600.0, gt=0)
    max_response_tokens: int = Field(default=65536, ge=1, description="per user turn, results of calls included")

    def rollout(self, max_turns: int) -> RolloutLimits:
        """As limits of the agent loop, for one user turn."""
        return RolloutLimits(
            max_turns=max_turns, max_response_tokens=self.max_response_tokens, max_consecutive_invalid=None,
            max_calls_per_turn=128, max_observation_chars=1_000_000, turn_timeout_s=self.turn_s,
            trajectory_timeout_s=self.sample_s,
        )  # fmt: skip


class Outcome(Frozen):
    """One drawn sample.

    ``record``: a line of an official result file. ``termination``: of the last user turn; ``infrastructure`` means that the
    sample was lost to an outage of ours, and its record must not be scored. ``snapshot``: what a memory held at the end.
    """

    id: str
    sample: int = 0
    record: dict[str, Any]
    trajectories: tuple[Trajectory, ...]
    termination: Termination
    error: str | None = None
    snapshot: dict[str, Any] | None = None

    @property
    def failed(self) -> bool:
        """True if an outage of ours, not the model, ended it."""
        return self.termination is Termination.INFRASTRUCTURE


async def run_single(
    entry_id: str, opening: Opening, policy: Policy, mode: Mode, sampling: SamplingParams, limits: GenerationLimits,
    sample: int = 0,
) -> Outcome:  # fmt: skip
    """One request, one answer. Raises ``UserError`` as ``rollout`` does."""
    question = _question(entry_id, opening.turns[0])
    tools = RecordingTools(opening.tools[0])
    trajectory = await rollout(question, policy, tools, limits.rollout(1), sampling, sample=sample)
    if trajectory.termination is Termination.MAX_TURNS:  # it called, and that was all that was asked for
        trajectory = trajectory.model_copy(update={"termination": Termination.ANSWERED})
    result = step_result(trajectory.turns[0], mode) if trajectory.turns else error_result(trajectory.error)
    return _outcome(entry_id, sample, result, [trajectory], mode)


async def run_conversation(
    entry_id: str, simulator: Simulator, policy: Policy, mode: Mode, sampling: SamplingParams, limits: GenerationLimits,
    sample: int = 0, *, remember: bool = False,
) -> Outcome:  # fmt: skip
    """All user turns of an entry, against its simulators.

    Args:
        remember: read the memory out at the end.

    Raises:
        UserError: as ``rollout``.
    """
    talk = _Conversation(entry_id, simulator, policy, mode, sampling, limits, sample)
    snapshot, outage = None, False
    try:
        async with asyncio.timeout(limits.sample_s):
            opening = await simulator.open()
            for messages, tools in zip(opening.turns, opening.tools, strict=True):
                if not await talk.user_turn(messages, tools):
                    break
            if remember and talk.error is None:
                snapshot = await simulator.snapshot()
    except SimulatorLost as lost:
        talk.error = str(lost)
    except InfrastructureError as failure:
        talk.error, outage = failure.message, True
    except TimeoutError:
        talk.error, outage = f"the sample took longer than {limits.sample_s:g} s", True
    result = talk.result if talk.error is None else error_result(talk.error)
    outcome = _outcome(entry_id, sample, result, talk.trajectories, mode)
    ended = {"termination": Termination.INFRASTRUCTURE} if outage else {}  # as the agent loop has it for one user turn
    return outcome.model_copy(update={"snapshot": snapshot, "error": outcome.error or talk.error, **ended})


class _Conversation:
    """The state of one conversation between user turns."""

    def __init__(
        self, entry_id: str, simulator: Simulator, policy: Policy, mode: Mode, sampling: SamplingParams,
        limits: GenerationLimits, sample: int,
    ) -> None:  # fmt: skip
        self._entry_id, self._simulator, self._policy, self._mode = entry_id, simulator, policy, mode
        self._sampling, self._limits, self._sample = sampling, limits, sample
        self._messages: list[dict[str, Any]] = []
        self.result: list[list[Any]] = []
        self.trajectories: list[Trajectory] = []
        self.error: str | None = None

    async def user_turn(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> bool:
        """Let the model work until it calls nothing more; False if the sample ends here."""
        self._messages += messages
        runner = SimulatedTools(self._simulator, tools, self._mode)
        decode = self._simulator.decode if self._mode == "prompt" else None
        policy = StepPolicy(self._policy, self._mode, decode)
        number = len(self.trajectories)
        # The official runner gives up after the calls of step 21 have run.
        trajectory = await rollout(
            _question(self._entry_id, self._messages), policy, runner, self._limits.rollout(self._limits.steps + 1),
            self._sampling, sample=self._sample, request_id=f"{self._entry_id}-{self._sample}-{number}",
        )  # fmt: skip
        self.trajectories.append(trajectory)
        self.result.append([step_result(turn, self._mode) for turn in policy.said])
        self.error = runner.lost or _error(trajectory)
        self._remember(trajectory, number)
        return self.error is None and trajectory.termination is not Termination.MAX_TURNS

    def _remember(self, trajectory: Trajectory, number: int) -> None:
        """Make what was said part of the conversation that the next user turn continues."""
        for turn in trajectory.turns:
            if not turn.observations:
                self._messages.append({"role": "assistant", "content": turn.text})
            elif self._mode == "prompt":
                self._messages += text_exchange(turn, turn.observations)
            else:
                named = [c.model_copy(update={"id": f"user_{number}_{c.id}"}) for c in turn.tool_calls]
                self._messages.append(assistant_message(turn.model_copy(update={"tool_calls": tuple(named)})))
                self._messages += [
                    {"role": "tool", "tool_call_id": call.id, "name": seen.name, "content": seen.content}
                    for call, seen in zip(named, turn.observations, strict=True)
                ]


def _error(trajectory: Trajectory) -> str | None:
    """Why a sample cannot go on after a user turn. A turn cut at its own token limit ends like any other."""
    cut = bool(trajectory.turns) and trajectory.turns[-1].finish_reason == "length"
    if trajectory.termination in _GONE or (trajectory.termination is Termination.LENGTH and not cut):
        return trajectory.error or "the context is full"
    return None


def _question(entry_id: str, messages: Sequence[dict[str, Any]]) -> Question:
    return Question(id=entry_id, question=str(messages[-1]["content"]), messages=tuple(messages), data_source="bfcl_v4")


def _outcome(entry_id: str, sample: int, result: Any, trajectories: list[Trajectory], mode: Mode) -> Outcome:
    last = trajectories[-1] if trajectories else None
    termination = last.termination if last else Termination.ANSWERED
    return Outcome(
        id=entry_id,
        sample=sample,
        record=record(entry_id, result, trajectories, str(termination), mode),
        trajectories=tuple(trajectories),
        termination=termination,
        error=last.error if last else None,
    )
