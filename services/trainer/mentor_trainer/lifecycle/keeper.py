"""Looks after the checkpoints of a run: hands them out to be evaluated, keeps the best, says when to stop."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from pydantic import BaseModel, Field

from mentor.data import write_text
from mentor_trainer import checkpoints
from mentor_trainer.config import EVALUATION, TrainSpec
from mentor_trainer.events import TrainEvent
from mentor_trainer.lifecycle import best
from mentor_trainer.lifecycle.evaluations import Evaluated, Evaluations

_STATE = "lifecycle.json"
_POLL_SECONDS = 5.0
RESULTS = "evaluations.jsonl"


class _State(BaseModel):
    """What another attempt goes on from.

    ``seen``: the last checkpoint that was looked at. ``behind``: how many in a row did not beat the best. ``waiting``: jobs by
    the step that they evaluate. ``told``: sum and number of the metric's values since the last checkpoint.
    """

    seen: int = 0
    behind: int = 0
    waiting: dict[int, str] = Field(default_factory=dict)
    told: tuple[float, int] = (0.0, 0)


class Keeper:
    """Of one run. ``look`` is cheap and is called at every tick of its supervisor.

    Args:
        spec: ``keep_best``, ``early_stop`` and ``evaluate_suites`` say what is wanted.
        evaluations: where checkpoints are evaluated; made from the spec where it asks for any.
    """

    def __init__(self, spec: TrainSpec, evaluations: Evaluations | None = None) -> None:
        self._spec = spec
        self._output = Path(spec.output_dir).absolute()
        self._file = self._output / _STATE
        self._state = _State.model_validate_json(self._file.read_text()) if self._file.is_file() else _State()
        self._evaluations = evaluations or (Evaluations(spec) if spec.evaluate_suites else None)
        self._asked = 0.0
        self._lowest = (spec.keep_best or "").startswith("-")
        self._metric = (spec.keep_best or "").removeprefix("-")

    @property
    def best(self) -> best.Best | None:
        """The best model so far, where the spec wants one kept."""
        return best.read(self._output / "best") if self._spec.keep_best else None

    @property
    def wants_stop(self) -> bool:
        """Whether as many checkpoints as the spec allows in a row were no better than the best."""
        return self._spec.early_stop is not None and self._state.behind >= self._spec.early_stop

    def see(self, event: TrainEvent) -> None:
        """A step's metrics."""
        if self._metric in event.metrics:
            total, count = self._state.told
            self._state.told = (total + event.metrics[self._metric], count + 1)

    def look(self) -> list[Evaluated]:
        """Take up a new checkpoint, and what evaluations have found since the last look."""
        found = checkpoints.latest(self._output / "checkpoints", after=self._state.seen)
        if found is not None and found.step > self._state.seen:
            self._take(found)
        if self._state.waiting and time.monotonic() - self._asked > _POLL_SECONDS:
            self._asked = time.monotonic()
            return self._ask()
        return []

    def close(self, patience_s: float = 600.0) -> list[Evaluated]:
        """As ``look``, until nothing is waited for any more or the patience is over."""
        until, found = time.monotonic() + patience_s, self.look()
        while self._state.waiting and time.monotonic() < until:
            time.sleep(min(1.0, _POLL_SECONDS))
            found += self.look()
        return found

    def _take(self, found: checkpoints.Checkpoint) -> None:
        self._state.seen = found.step
        total, count = self._state.told
        self._state.told = (0.0, 0)
        if self._spec.keep_best and self._metric != EVALUATION and count:
            self._offer(found.step, total / count, found.hf_model)
        if self._evaluations is not None:
            candidate = self._output / "candidates" / f"step_{found.step}"
            shutil.rmtree(candidate, ignore_errors=True)
            best.link_tree(found.hf_model, candidate)  # its checkpoint may be pruned before it is evaluated
            if (job := self._evaluations.submit(found.step, candidate)) is not None:
                self._state.waiting[found.step] = job
        self._save()

    def _ask(self) -> list[Evaluated]:
        assert self._evaluations is not None
        found = []
        for step, job in sorted(self._state.waiting.items()):
            answer = self._evaluations.ended(step, job)
            if answer is False:
                continue
            candidate = self._output / "candidates" / f"step_{step}"
            if isinstance(answer, Evaluated):
                found.append(answer)
                with (self._output / RESULTS).open("a") as results:
                    results.write(answer.model_dump_json() + "\n")
                if self._metric == EVALUATION:
                    self._offer(step, answer.mean, candidate)
            del self._state.waiting[step]
            shutil.rmtree(candidate, ignore_errors=True)
        self._save()
        return found

    def _offer(self, step: int, value: float, model: Path) -> None:
        known = self.best
        sign = -1 if self._lowest else 1
        if known is None or sign * value > sign * known.value:
            best.replace(self._output / "best", model, step, value)
            self._state.behind = 0
        else:
            self._state.behind += 1

    def _save(self) -> None:
        write_text(self._file, self._state.model_dump_json() + "\n")
