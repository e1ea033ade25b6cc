"""From a spec to the cells of its matrix: every suite loaded, every name checked, before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mentor.data.files import check_readable
from mentor.errors import UserError
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Question
from mentor_evaluator.matrix.spec import Arm, EvaluatedModel, EvaluationSpec
from mentor_evaluator.scorers import SCORERS
from mentor_evaluator.suites import SUITES, Loaded, MayLack, SamplingSuite, Suite, WithOptions, data_folder


@dataclass(frozen=True)
class PlannedSuite:
    """A suite with its questions."""

    suite: Suite
    loaded: Loaded

    @property
    def name(self) -> str:
        return self.suite.name


@dataclass(frozen=True)
class Cell:
    """One model on one suite in one way."""

    model: EvaluatedModel
    planned: PlannedSuite
    arm: Arm

    @property
    def key(self) -> str:
        """``MODEL/SUITE/ARM``: its name in results and its folder."""
        return f"{self.model.name}/{self.planned.name}/{self.arm.name}"

    @cached_property
    def questions(self) -> list[Question]:
        """The suite's questions as this arm asks them."""
        if self.arm.tools:
            return list(self.planned.loaded.questions)
        bare = {"tools": (), "env": None, "func_schemas": None}
        return [question.model_copy(update=bare) for question in self.planned.loaded.questions]


def plan(spec: EvaluationSpec) -> list[Cell]:
    """The cells, model by model.

    Raises:
        UserError: an unknown suite, group, scorer or tool; data or a model's folder that are missing or malformed.
    """
    for index, model in enumerate(spec.models):
        model.model.check(f"models.{index}.model")
    if spec.reference:
        check_readable(Path(spec.reference), "reference")
    suites = [_load(suite, spec) for suite in chosen_suites(spec)]
    for name in spec.second_judges:
        SCORERS.get(name, "second_judges")
    return [
        Cell(model, planned, arm)
        for model in spec.models
        for planned in suites
        for arm in spec.arms(model)
        if arm.tools or not isinstance(planned.suite, SamplingSuite)
    ]


def chosen_suites(spec: EvaluationSpec) -> list[Suite]:
    """The suites that a spec names, groups expanded, each once, in the order in which they are first named.

    Raises:
        UserError: neither a suite nor a group; one named by itself that cannot be run here; nothing that can be run; or the
            name of an own suite is taken.
    """
    found: dict[str, Suite] = {}
    left_out = not_run(spec)
    for name in spec.suites:
        for suite in named(name):
            why = left_out.get(suite.name)
            if why is not None and suite.name == name:
                raise UserError(
                    f"{name} cannot be run here: {why}", field="suites", allowed="what it needs, or other suites"
                )
            if why is None:
                found.setdefault(suite.name, _with_options(suite, spec))
    for own in spec.own:
        if own.name in found or own.name in SUITES.names():
            raise UserError(f"the name {own.name!r} is taken", field="own", allowed="a name of its own")
        found[own.name] = own
    if not found:
        raise UserError("none of the suites can be run here", field="suites", allowed=str(left_out))
    return list(found.values())


def not_run(spec: EvaluationSpec) -> dict[str, str]:
    """Suites that the spec asks for and that cannot be run here, each with its reason."""
    asked = {suite.name: _with_options(suite, spec) for name in spec.suites for suite in named(name)}
    reasons = {name: suite.unavailable() for name, suite in asked.items() if isinstance(suite, MayLack)}
    return {name: why for name, why in reasons.items() if why is not None}


def named(name: str) -> Sequence[Suite]:
    """The suite of that name, or those of that group."""
    if name in SUITES.names():
        return [SUITES.get(name)]
    members = [suite for suite in SUITES if name in suite.groups]
    if not members:
        known = ", ".join([*groups(), *SUITES.names()])
        raise UserError(f"unknown suite {name!r}", field="suites", allowed=known)
    return members


def groups() -> dict[str, list[str]]:
    """Names of suites by group."""
    found: dict[str, list[str]] = {}
    for suite in SUITES:
        for group in suite.groups:
            found.setdefault(group, []).append(suite.name)
    return found


def _with_options(suite: Suite, spec: EvaluationSpec) -> Suite:
    """The suite with what ``options`` says under its name, or under a group of its."""
    for name in (suite.name, *suite.groups):
        if options := spec.options.get(name):
            if not isinstance(suite, WithOptions):
                raise UserError(f"{suite.name} has no options", field=f"options.{name}", allowed="none")
            return suite.with_options(options)
    return suite


def _load(suite: Suite, spec: EvaluationSpec) -> PlannedSuite:
    SCORERS.get(suite.scorer, "suites")
    loaded = suite.load(data_folder(), skip_broken=spec.skip_broken)
    questions = loaded.questions[: spec.max_questions]
    registry = ToolRegistry()
    for question in questions:
        registry.for_question(question)
    return PlannedSuite(suite, loaded.model_copy(update={"questions": questions}))
