"""Benchmark suites: one file each. A suite loads its questions, offers tools, names its scorer, and sums its scores up.

Users' own come by the entry points of ``mentor.suites``, or, without code, as a YAML file (``mentor_evaluator.own_suite``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import AfterValidator, Field

from mentor.inference import SamplingParams
from mentor.plugins import Plugin, Registry
from mentor.rollout.driver import Sampler
from mentor.rollout.policy import Policy
from mentor.trajectory import Frozen, Question
from mentor_evaluator.scorers import Score


class Loaded(Frozen):
    """A suite's questions.

    ``skipped``: rows that were left out, each with its place and what is wrong with it. ``sources``: SHA-256 by file name.
    """

    questions: tuple[Question, ...]
    skipped: tuple[str, ...] = ()
    sources: dict[str, str] = Field(default_factory=dict)


class Suite(Plugin, Protocol):
    """A benchmark.

    ``groups``: names under which it can be asked for together with others. ``scorer``: of ``mentor list scorer``.
    """

    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def scorer(self) -> str: ...

    def load(self, folder: Path, *, skip_broken: bool = False) -> Loaded:
        """The questions, each with the tools that it offers.

        Args:
            folder: where data sets lie.
            skip_broken: leave malformed rows out, and say so, instead of refusing the set.

        Raises:
            UserError: the data are not there (``allowed`` says what to place where), or a row is malformed.
        """
        ...

    def aggregate(self, scores: Mapping[str, Sequence[Score]]) -> dict[str, float]:
        """Figures of the suite beside accuracy, from the scores of every question's samples by question id."""
        ...


@runtime_checkable
class WithOptions(Protocol):
    """A suite that understands options of its own (``options: {NAME: {...}}`` in an evaluation)."""

    def with_options(self, options: Mapping[str, Any]) -> Suite:
        """The suite with these options.

        Raises:
            UserError: it does not understand one of them.
        """
        ...


@runtime_checkable
class SamplingSuite(Protocol):
    """A suite whose samples are drawn in a way of its own, not by the evaluation's strategy."""

    def open_sampler(
        self, folder: Path, policy: Policy, sampling: SamplingParams
    ) -> AbstractAsyncContextManager[Sampler]:
        """Its sampler, for one cell. ``folder`` is the cell's, for what a later attempt can go on from.

        Raises:
            UserError: the model cannot be asked as the suite needs it.
        """
        ...


@runtime_checkable
class MayLack(Protocol):
    """A suite that can be there and yet not be run. Asked for as part of a group it is left out, with its reason."""

    def unavailable(self) -> str | None:
        """Why it cannot be run here; None if it can."""
        ...


def data_folder() -> Path:
    """Where data sets lie: ``MENTOR_DATA``, or ``data`` where one stands."""
    return Path(os.environ.get("MENTOR_DATA", "data"))


SUITES: Registry[Suite] = Registry("suite", "mentor_evaluator.suites", Suite)

SuiteName = Annotated[str, AfterValidator(SUITES.check)]
"""Type of a spec's field that names a suite."""
