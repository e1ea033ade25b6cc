"""The best checkpoint is kept, a run that gets no better ends, evaluations count when they come; and the model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mentor.errors import UserError
from mentor_trainer import checkpoints
from mentor_trainer.config import TrainSpec, make_spec
from mentor_trainer.events import TrainEvent
from mentor_trainer.lifecycle.card import write_card
from mentor_trainer.lifecycle.evaluations import Evaluated
from mentor_trainer.lifecycle.keeper import RESULTS, Keeper
from tests.support.training import spec_values, write_set


def spec_in(folder: Path, **changes: Any) -> TrainSpec:
    write_set(folder)
    return make_spec(spec_values(folder, save_freq=1, total_steps=9, **changes))


def checkpoint(folder: Path, step: int) -> None:
    """A whole one whose weights are its number."""
    target = folder / "out" / "checkpoints" / f"global_step_{step}"
    (target / "actor" / "huggingface").mkdir(parents=True)
    (target / "actor" / "huggingface" / "model.safetensors").write_text(str(step))
    checkpoints.commit(target, step)
    checkpoints.prune(target.parent, 1)


def step(number: int, **metrics: float) -> TrainEvent:
    return TrainEvent(step=number, total_steps=9, metrics=metrics)


def kept(keeper: Keeper) -> tuple[int, str] | None:
    found = keeper.best
    return None if found is None else (found.step, (found.path / "model.safetensors").read_text())


def test_the_model_of_the_highest_metric_outlives_its_checkpoint(tmp_path: Path) -> None:
    keeper = Keeper(spec_in(tmp_path, keep_best="correctness"))
    for number, values in enumerate(((0.1, 0.3), (0.9, 0.5), (0.6, 0.6)), start=1):
        for value in values:
            keeper.see(step(number, correctness=value, loss=1.0))
        checkpoint(tmp_path, number)
        keeper.look()
    assert kept(keeper) == (2, "2") and keeper.best is not None
    assert keeper.best.value == pytest.approx(0.7), "the mean since the last checkpoint"
    assert not (tmp_path / "out" / "checkpoints" / "global_step_2").exists()


def test_a_minus_keeps_the_lowest(tmp_path: Path) -> None:
    keeper = Keeper(spec_in(tmp_path, keep_best="-loss"))
    for number, loss in enumerate((3.0, 1.0, 2.0), start=1):
        keeper.see(step(number, loss=loss))
        checkpoint(tmp_path, number)
        keeper.look()
    assert kept(keeper) == (2, "2")


def test_a_run_stops_when_checkpoints_get_no_better_and_another_attempt_knows(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, keep_best="correctness", early_stop=2)
    keeper = Keeper(spec)
    for number, value in enumerate((0.5, 0.4, 0.45), start=1):
        assert not keeper.wants_stop
        keeper.see(step(number, correctness=value))
        checkpoint(tmp_path, number)
        keeper.look()
    assert keeper.wants_stop and Keeper(spec).wants_stop
    assert kept(Keeper(spec)) == (1, "1")


class Elsewhere:
    """An evaluator that answers when it is told to."""

    def __init__(self) -> None:
        self.models: dict[int, str] = {}
        self.answers: dict[int, float | bool] = {}

    def submit(self, step: int, model: Path) -> str | None:
        self.models[step] = (model / "model.safetensors").read_text()
        return None if step == 4 else f"evaluation-{step}"

    def ended(self, step: int, job_id: str) -> Evaluated | bool:
        answer = self.answers.get(step, False)
        if isinstance(answer, bool):
            return answer
        return Evaluated(step=step, job=job_id, accuracy={"tiny/tools": answer})


def test_evaluations_choose_the_best_when_they_come_in_whatever_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mentor_trainer.lifecycle.keeper._POLL_SECONDS", 0.0)
    wanted = {"keep_best": "evaluation", "evaluate_suites": ["tiny"], "evaluator_url": "http://127.0.0.1:9"}
    spec, elsewhere = spec_in(tmp_path, **wanted), Elsewhere()
    keeper = Keeper(spec, elsewhere)  # type: ignore[arg-type]
    for number in (1, 2, 3, 4):
        checkpoint(tmp_path, number)
        keeper.look()
    assert elsewhere.models == {1: "1", 2: "2", 3: "3", 4: "4"} and kept(keeper) is None
    elsewhere.answers = {1: 0.2, 2: 0.8, 3: True}  # the third failed, the fourth was never taken
    again = Keeper(spec, elsewhere)  # type: ignore[arg-type]
    assert [found.step for found in again.close()] == [1, 2]
    assert kept(again) == (2, "2")
    lines = (tmp_path / "out" / RESULTS).read_text().splitlines()
    assert [json.loads(line)["accuracy"] for line in lines] == [{"tiny/tools": 0.2}, {"tiny/tools": 0.8}]
    assert not list((tmp_path / "out" / "candidates").glob("step_[123]"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"keep_best": "beauty"}, "keep_best"),
        ({"keep_best": "evaluation"}, "keep_best"),
        ({"early_stop": 2}, "early_stop"),
        ({"evaluate_suites": ["gsm8k"]}, "evaluator_url"),
        ({"keep_best": "reward", "save_freq": -1}, "save_freq"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    write_set(tmp_path)
    with pytest.raises(UserError) as caught:
        make_spec({**spec_values(tmp_path), **changes})
    assert caught.value.field == field


def test_a_model_card_says_what_the_model_was_made_of(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, reward="paper_strict")
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Base\n")
    found = [{"step": 4, "accuracy": {"gsm8k/tools": 0.5}}]
    write_card(spec.model_copy(update={"model": str(base)}), tmp_path, 4, {"reward": 0.75}, found)
    text = (tmp_path / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert (front["base_model"], front["license"], front["library_name"]) == ("base", "apache-2.0", "transformers")
    assert "after 4 steps of `grpo`, reward `paper_strict`" in text
    assert "| train.jsonl | train_files | " in text and "| reward | 0.75 |" in text
    assert "| 4 | gsm8k/tools | 50.0% |" in text
    assert str(tmp_path) not in text, "no path of the machine that trained"
