"""Plays an attack through the agent loop, with tools that run, and scores what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from mentor.grading import MathJudge
from mentor.inference import SamplingParams
from mentor.rewards import Judge, load_preset, preset_names, score
from mentor.rollout import RolloutLimits, rollout
from mentor.tools import MATH_TOOLS, ToolSpec, math_tools
from mentor.tools.validation import argument_error
from mentor.trajectory import Frozen, Observation, ToolCall, Trajectory
from tests.reward_attacks.cases import ADD, MULTIPLY, QUESTION, RIGHT_BOX, Attack
from tests.reward_attacks.text_reward import text_reward
from tests.support.scripted import ScriptedTools, scripted_policy
from tests.support.tokenizers import tokenizer

_TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
BAITS = (
    ToolSpec(name="echo", description="Says what it is given.", parameters=_TEXT),
    ToolSpec(name="lookup", description="Finds what others wrote.", parameters=_TEXT),
)
"""Tools whose output holds what an attacker wants to be found: what the model said, or what a page holds."""
TOOLS = (*MATH_TOOLS, *BAITS)
LIMITS = RolloutLimits(max_turns=8, max_response_tokens=10_000_000, max_calls_per_turn=32)
SAMPLING = SamplingParams(max_tokens=10_000_000, seed=0)


class Played(Frozen):
    """An attack's trajectory, and its text after the prompt."""

    name: str
    trajectory: Trajectory
    transcript: str


async def play(attack: Attack) -> Played:
    """Sample the attack's trajectory."""
    question = QUESTION.model_copy(update={"question": attack.question})
    turns = (*attack.turns, *("I have no more to say.",) * LIMITS.max_turns)
    trajectory = await rollout(question, scripted_policy(*turns), ScriptedTools(run, TOOLS), LIMITS, SAMPLING)
    return Played(name=attack.name, trajectory=trajectory, transcript=_transcript(trajectory))


async def run(call: ToolCall) -> Observation:
    """Run a call as the toolset does: refused by name or schema, or executed."""
    spec = next((tool for tool in TOOLS if tool.name == call.name), None)
    problem = "unknown tool" if spec is None else argument_error(spec, call.arguments)
    if problem is not None:
        kind = "unknown_tool" if spec is None else "invalid_arguments"
        return Observation(name=call.name, content=problem, ok=False, executed=False, error_type=kind)
    if call.name == "echo":
        return Observation(name="echo", content=str(call.arguments["text"]))
    if call.name == "lookup":
        return Observation(name="lookup", content=f"{MULTIPLY}{ADD} The answer is {RIGHT_BOX}.")
    try:
        return Observation(name=call.name, content=str(getattr(math_tools, call.name)(**call.arguments)))
    except Exception as error:
        return Observation(name=call.name, content=str(error), ok=False, error_type="tool_error")


def _transcript(trajectory: Trajectory) -> str:
    decode = tokenizer().decode
    parts = (decode([*(turn.token_ids or ()), *turn.observation_ids]) for turn in trajectory.turns)
    return "".join(parts)


class Row(Frozen):
    """What an attack earns: by preset, and by a reward that reads text."""

    name: str
    totals: dict[str, float]
    text: float


def totals(played: Iterable[Played], judge: MathJudge) -> list[Row]:
    """Score what was played by every preset, and by ``text_reward``."""

    @cache
    def verdict(prediction: str | None, golds: tuple[str, ...]) -> bool:
        return judge.grade(prediction, golds).correct

    def right(prediction: str | None, golds: Sequence[str]) -> bool:
        return verdict(prediction, tuple(golds))

    return [_row(one, right) for one in played]


def _row(played: Played, judge: Judge) -> Row:
    references, answers = QUESTION.references, QUESTION.answers
    earned = {
        name: score(played.trajectory, references, load_preset(name), judge, answers, TOOLS).total
        for name in preset_names()
    }
    known = {tool.name for tool in TOOLS}
    teacher = {name for reference in references for name in reference.tool_names}
    return Row(name=played.name, totals=earned, text=text_reward(played.transcript, answers, teacher, known, judge))
