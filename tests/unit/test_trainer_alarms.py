"""Alarms sound when what they watch for begins, once, and only then; and the metrics that they look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentor.trajectory import Observation, Termination, ToolCall, Trajectory, Turn
from mentor_trainer.alarms import RULES, Alarm, Watch
from mentor_trainer.events import TrainEvent, event_of, write_prometheus
from mentor_trainer.verl_ext.metrics import trajectory_metrics

HEALTHY = {
    "entropy": 1.0, "kl": 0.01, "reward": 0.5, "correctness": 0.5, "logprob_gap": 0.001, "infrastructure_failures": 0.0,
    "samples": 64.0, "groups_without_signal": 0.3, "grad_norm": 1.0,
}  # fmt: skip


def sounded(*changes: dict[str, float]) -> list[Alarm]:
    """The alarms of a run of 30 healthy steps and then 10 for each of the changes."""
    steps = [HEALTHY] * 30 + [{**HEALTHY, **change} for change in changes for _ in range(10)]
    watch = Watch()
    return [
        a
        for n, metrics in enumerate(steps, start=1)
        for a in watch.see(TrainEvent(step=n, total_steps=99, metrics=metrics))
    ]


def test_a_healthy_run_sounds_nothing() -> None:
    assert sounded({}, {"reward": 0.6, "correctness": 0.6}) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("entropy_collapse", {"entropy": 0.05}),
        ("kl_blow_up", {"kl": 2.0}),
        ("reward_without_accuracy", {"reward": 0.7, "correctness": 0.3}),
        ("logprob_gap", {"logprob_gap": 0.3}),
        ("tool_outage", {"infrastructure_failures": 16.0}),
        ("no_signal", {"groups_without_signal": 1.0}),
        ("gradient_spike", {"grad_norm": 50.0}),
    ],
)
def test_each_alarm_sounds_once_for_what_it_watches(name: str, change: dict[str, float]) -> None:
    found = sounded(change)
    assert [alarm.name for alarm in found] == [name]
    assert 30 < found[0].step <= 40 and found[0].advice


def test_every_rule_is_tried_above() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) == 7


def test_an_alarm_that_ended_sounds_again_when_it_begins_again() -> None:
    assert [a.name for a in sounded({"logprob_gap": 0.3}, {}, {}, {"logprob_gap": 0.3})] == ["logprob_gap"] * 2


def test_a_run_that_has_just_begun_sounds_nothing() -> None:
    watch = Watch()
    broken = {**HEALTHY, "groups_without_signal": 1.0}
    assert [watch.see(TrainEvent(step=n, total_steps=99, metrics=broken)) for n in range(1, 10)] == [[]] * 9


def drawn(question: str, *tools: str, seconds: float = 4.0, end: Termination = Termination.ANSWERED) -> Trajectory:
    """A trajectory of one turn in which all tools run together, a second each."""
    calls = tuple(ToolCall(name=name) for name in tools)
    seen = tuple(Observation(name=name, content="", executed=name != "nothing", duration_ms=1000) for name in tools)
    turn = Turn(text="", tool_calls=calls, observations=seen)
    return Trajectory(question_id=question, turns=(turn,), termination=end, duration_s=seconds)


def test_trajectories_tell_tools_ends_waits_and_silent_groups() -> None:
    trajectories = [
        drawn("a", "add", "multiply"), drawn("a", "add", "nothing"),
        drawn("b", "add", end=Termination.LENGTH), drawn("b"),
    ]  # fmt: skip
    infos = [{"excluded": 0.0, "total": total} for total in (1.0, 1.0, 1.0, 0.0)]
    assert trajectory_metrics(trajectories, infos) == {
        "mentor/termination/answered": 0.75,
        "mentor/termination/length": 0.25,
        "mentor/tool/add": 3.0,
        "mentor/tool/multiply": 1.0,
        "mentor/tool_wait_share": pytest.approx(3 / 16),
        "mentor/groups_without_signal": 0.5,
    }


def test_a_lost_sample_says_nothing_of_its_groups_signal() -> None:
    trajectories = [drawn("a"), drawn("a"), drawn("a", end=Termination.INFRASTRUCTURE)]
    infos = [{"excluded": 0.0, "total": 1.0}, {"excluded": 0.0, "total": 1.0}, {"excluded": 1.0}]
    assert trajectory_metrics(trajectories, infos)["mentor/groups_without_signal"] == 1.0


def test_what_goes_by_name_reaches_prometheus_by_name(tmp_path: Path) -> None:
    event = event_of(1, {"mentor/tool/add": 3.0, "mentor/termination/length": 0.25}, 9)
    assert event.labelled == {"tool_calls": {"add": 3.0}, "termination": {"length": 0.25}}
    write_prometheus(event, "run-a", tmp_path / "m.prom")
    assert 'mentor_training_tool_calls{name="add",run="run-a"} 3.0' in (tmp_path / "m.prom").read_text()
