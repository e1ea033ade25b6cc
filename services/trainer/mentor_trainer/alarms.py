"""Alarms: what in a run's metrics wants somebody's eyes, and what to do about it.

Each rule looks at the steps so far and says whether it is so now; an alarm sounds when that begins, not at every step. They
never stop a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median

from mentor.trajectory import Frozen
from mentor_trainer.events import TrainEvent

WINDOW = 10
"""Steps that a rule averages over, and that must have passed before it says anything."""


class Alarm(Frozen):
    """One that sounds at a step. ``advice`` says what to try."""

    name: str
    step: int
    message: str
    advice: str


Metrics = Sequence[dict[str, float]]


@dataclass(frozen=True)
class Rule:
    """``holds`` is given the metrics of at least ``WINDOW`` steps, the last step's last; it returns what is wrong, or None."""

    name: str
    advice: str
    holds: Callable[[Metrics], str | None]


def entropy_collapse(steps: Metrics) -> str | None:
    """The policy has stopped to explore: its entropy is under a tenth of what it was at first."""
    first, now = _mean(steps[:WINDOW], "entropy"), _mean(steps[-WINDOW:], "entropy")
    if first is None or now is None or now >= 0.1 * first:
        return None
    return f"entropy fell from {first:.3g} to {now:.3g}"


def kl_blow_up(steps: Metrics) -> str | None:
    """The policy runs away from where it began: KL is ten times its usual size, and not small."""
    known = [step["kl"] for step in steps if "kl" in step]
    if len(known) < 2 * WINDOW:
        return None
    usual, now = median(known[:-WINDOW]), mean(known[-WINDOW // 2 :])
    return f"KL is {now:.3g}, usually {usual:.3g}" if now > max(10 * usual, 0.1) else None


def reward_without_accuracy(steps: Metrics) -> str | None:
    """The reward grows while answers get worse: it is earned by something else."""
    reward, right = (_change(steps, name) for name in ("reward", "correctness"))
    if reward is None or right is None or reward < 0.05 or right > -0.05:
        return None
    return f"over the run the reward rose by {reward:.2f} while correctness fell by {-right:.2f}"


def logprob_gap(steps: Metrics) -> str | None:
    """The rollout engine's probabilities are not the trainer's."""
    now = _mean(steps[-WINDOW:], "logprob_gap")
    return f"probabilities differ by {now:.3f} on average" if now is not None and now > 0.02 else None


def tool_outage(steps: Metrics) -> str | None:
    """Samples are lost to infrastructure, step after step."""
    lost, drawn = (
        sum(step.get(name, 0.0) for step in steps[-WINDOW:]) for name in ("infrastructure_failures", "samples")
    )
    return f"{lost:.0f} of the last {drawn:.0f} samples were lost" if drawn and lost / drawn > 0.05 else None


def no_signal(steps: Metrics) -> str | None:
    """Nearly all groups are rewarded alike: there is nothing to learn from them."""
    now = _mean(steps[-WINDOW:], "groups_without_signal")
    return f"in {now:.0%} of the groups all samples have the same reward" if now is not None and now > 0.9 else None


def gradient_spike(steps: Metrics) -> str | None:
    """One update was far larger than those before it."""
    known = [step["grad_norm"] for step in steps if "grad_norm" in step]
    if len(known) < 2:
        return None
    usual, now = median(known[:-1]), known[-1]
    return f"the gradient's norm is {now:.3g}, usually {usual:.3g}" if now > 20 * max(usual, 1e-6) else None


RULES = (
    Rule(
        "entropy_collapse",
        "raise temperature or entropy_coef, or lower lr; clip_ratio_high above clip_ratio keeps rare tokens alive",
        entropy_collapse,
    ),
    Rule("kl_blow_up", "lower lr, raise kl_coef, or go on from an earlier checkpoint", kl_blow_up),
    Rule(
        "reward_without_accuracy",
        "look at rollouts: what is rewarded? raise the weight of correctness, or anneal to it (reward_weights_end)",
        reward_without_accuracy,
    ),
    Rule(
        "logprob_gap",
        "rollout_correction: token; compare dtype, template and sampling of the rollout engine with the trainer's",
        logprob_gap,
    ),
    Rule("tool_outage", "look at sandbox and retriever: their dashboards, `mentor status`", tool_outage),
    Rule(
        "no_signal",
        "dynamic_sampling: true, a curriculum or other questions: these are all too easy or too hard",
        no_signal,
    ),
    Rule("gradient_spike", "lower lr or grad_clip; look at the step's rollouts", gradient_spike),
)


class Watch:
    """Sees every step of a run, in order."""

    def __init__(self, rules: Sequence[Rule] = RULES) -> None:
        self._rules = rules
        self._steps: list[dict[str, float]] = []
        self._sounding: set[str] = set()

    def see(self, event: TrainEvent) -> list[Alarm]:
        """The alarms that begin to sound at this step."""
        self._steps.append(event.metrics)
        if len(self._steps) < WINDOW:
            return []
        begun = []
        for rule in self._rules:
            wrong = rule.holds(self._steps)
            if wrong is not None and rule.name not in self._sounding:
                begun.append(Alarm(name=rule.name, step=event.step, message=wrong, advice=rule.advice))
            (self._sounding.discard if wrong is None else self._sounding.add)(rule.name)
        return begun


def _mean(steps: Metrics, name: str) -> float | None:
    known = [step[name] for step in steps if name in step]
    return mean(known) if known else None


def _change(steps: Metrics, name: str) -> float | None:
    """How far the last window's mean lies above the first's; None before two windows have passed."""
    first, now = _mean(steps[:WINDOW], name), _mean(steps[-WINDOW:], name)
    return None if first is None or now is None or len(steps) < 2 * WINDOW else now - first
