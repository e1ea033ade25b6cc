"""Budgets in tokens, money and time: what has been spent, over all attempts of a job, and when there is no more."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from mentor.analysis.tokens import generated_tokens, prompt_tokens
from mentor.data import write_text
from mentor.trajectory import Frozen, Trajectory

_MILLION = 1e6
_KEEP_S = 5.0
BudgetName = Literal["tokens", "money", "hours"]


class Prices(Frozen):
    """Of a million tokens, in any one currency."""

    price_in: float = Field(default=0.0, ge=0, description="of a million prompt tokens")
    price_out: float = Field(default=0.0, ge=0, description="of a million generated tokens")

    def of(self, trajectory: Trajectory) -> float:
        """What a trajectory cost."""
        return (self.price_in * prompt_tokens(trajectory) + self.price_out * generated_tokens(trajectory)) / _MILLION


class Budget(Frozen):
    """What generating may take; whichever is used up first ends it.

    ``tokens``: prompts and answers together, every turn with the conversation that it was sent. ``hours``: while the job
    runs, waiting in the queue excluded.
    """

    tokens: int | None = Field(default=None, ge=1)
    money: float | None = Field(default=None, gt=0)
    hours: float | None = Field(default=None, gt=0)


class Spent(Frozen):
    """What generating has taken so far."""

    prompt_tokens: float = 0.0
    generated_tokens: float = 0.0
    money: float = 0.0
    seconds: float = 0.0


class Ledger:
    """Adds up. Tokens and money are those of the trajectories, which are on disk; seconds are kept beside them.

    Args:
        path: where seconds are kept between attempts; at most the last five are lost with a killed one.
    """

    def __init__(self, budget: Budget, prices: Prices, path: Path, drawn: Iterable[Trajectory] = ()) -> None:
        self.budget, self.prices = budget, prices
        self._path = path
        self._before = float(json.loads(path.read_text())["seconds"]) if path.exists() else 0.0
        self._began = self._kept = time.monotonic()
        self._prompt = self._generated = self._money = 0.0
        self._trajectories = 0
        for trajectory in drawn:
            self._book(trajectory)

    @property
    def spent(self) -> Spent:
        """So far."""
        seconds = self._before + time.monotonic() - self._began
        return Spent(
            prompt_tokens=self._prompt, generated_tokens=self._generated, money=self._money, seconds=round(seconds, 3)
        )

    def add(self, trajectory: Trajectory) -> None:
        """Book one that has ended, lost ones too: they were paid for."""
        self._book(trajectory)
        if time.monotonic() - self._kept > _KEEP_S:
            self.keep()

    def _book(self, trajectory: Trajectory) -> None:
        self._prompt += prompt_tokens(trajectory)
        self._generated += generated_tokens(trajectory)
        self._money += self.prices.of(trajectory)
        self._trajectories += 1

    def keep(self) -> None:
        """Write the seconds down."""
        self._kept = time.monotonic()
        write_text(self._path, json.dumps({"seconds": self.spent.seconds}))

    def used_up(self, in_flight: int = 0) -> BudgetName | None:
        """The budget that is used up, or would be if ``in_flight`` more cost what the others did on average."""
        share = 1 + in_flight / max(1, self._trajectories)
        budget = self.budget
        if budget.tokens is not None and (self._prompt + self._generated) * share >= budget.tokens:
            return "tokens"
        if budget.money is not None and self._money * share >= budget.money:
            return "money"
        if budget.hours is not None and self.spent.seconds >= 3600 * budget.hours:
            return "hours"
        return None
